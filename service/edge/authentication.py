"""Who sends a request, and whether they may: pure ASGI middleware that runs before the body is read."""

import re

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as AsgiScope

from service.domain.caller import ANONYMOUS, SCOPES, Caller, Scope
from service.edge.keys import Keyring
from service.edge.request_context import current
from service.errors import Forbidden, Unauthenticated, error_response

_OPEN = frozenset({"/livez", "/readyz", "/docs", "/openapi.json", "/", "/annotate", "/compare", "/agreement"})
"""Public paths: probes, the description of the interface, and pages, whose scripts send a key with their requests."""
_ASSETS = "/static/"
_AREAS: tuple[tuple[str, Scope], ...] = (
    ("/admin", "admin"),
    ("/annotation", "feedback"),
    ("/agreement", "feedback"),
)
_FEEDBACK = re.compile(r"/responses/[^/]+/feedback/?")
_CHALLENGE = {"www-authenticate": "Bearer"}


def needed_scope(path: str, metrics_open: bool) -> Scope | None:
    """The scope that a path requires, or None for a public one. A path without a rule requires `generate`."""
    if path in _OPEN or path.startswith(_ASSETS):
        return None
    if path == "/metrics":
        return None if metrics_open else "metrics"
    for area, scope in _AREAS:
        if path == area or path.startswith(f"{area}/"):
            return scope
    return "feedback" if _FEEDBACK.fullmatch(path) else "generate"


class Authentication:
    """Sets `request.state.caller`. With a keyring, answers 401 without a valid key and 403 without the scope."""

    def __init__(self, app: ASGIApp, keyring: Keyring | None, metrics_open: bool) -> None:
        self.app = app
        self.keyring = keyring
        self.metrics_open = metrics_open

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Check the key in `Authorization: Bearer` or `X-API-Key`."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        needed = needed_scope(scope["path"].removeprefix(scope.get("root_path", "")), self.metrics_open)
        error: Unauthenticated | Forbidden | None = None
        if self.keyring is None:
            caller = Caller(_address(scope), frozenset(SCOPES))
        else:
            secret = _secret(Headers(scope=scope))
            key_holder = None if secret is None else self.keyring.caller(secret)
            caller = key_holder or Caller(_address(scope))
            if needed is not None and key_holder is None:
                problem = "This API key is not valid" if secret else "An API key is required"
                error = Unauthenticated(f"{problem}; send a valid one as `Authorization: Bearer fg_…`.")
            elif needed is not None and needed not in caller.scopes:
                error = Forbidden(f"This API key lacks the scope {needed!r}; use a key that has it.")
        scope.setdefault("state", {})["caller"] = caller
        if (context := current()) is not None:
            context.caller = caller.id
        if error is not None:
            challenge = _CHALLENGE if isinstance(error, Unauthenticated) else {}
            # The body has not been read, so the connection cannot be reused.
            await error_response(error, challenge | {"connection": "close"})(scope, receive, send)
            return
        await self.app(scope, receive, send)


def caller_of(connection: HTTPConnection) -> Caller:
    """The caller that Authentication found for a request."""
    return getattr(connection.state, "caller", ANONYMOUS)


def _secret(headers: Headers) -> str | None:
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and credentials.strip():
        return credentials.strip()
    return headers.get("x-api-key") or None


def _address(scope: AsgiScope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ANONYMOUS.id
