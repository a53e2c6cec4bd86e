"""Who a request comes from, and whether they may: pure ASGI middleware before anything reads the body."""

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
"""What says nothing that is not public: whether the service works, its interface, and pages that ask with a key."""
_ASSETS = "/static/"
_AREAS: tuple[tuple[str, Scope], ...] = (
    ("/admin", "admin"),
    ("/annotation", "feedback"),
    ("/agreement", "feedback"),
)
_FEEDBACK = re.compile(r"/responses/[^/]+/feedback/?")
_CHALLENGE = {"www-authenticate": "Bearer"}


def needed_scope(path: str, metrics_open: bool) -> Scope | None:
    """The scope a path needs; None for none. What nobody thought of needs `generate`."""
    if path in _OPEN or path.startswith(_ASSETS):
        return None
    if path == "/metrics":
        return None if metrics_open else "metrics"
    for area, scope in _AREAS:
        if path == area or path.startswith(f"{area}/"):
            return scope
    return "feedback" if _FEEDBACK.fullmatch(path) else "generate"


class Authentication:
    """Finds a request's caller and keeps it as `request.state.caller`; answers 401 and 403 where keys are in use."""

    def __init__(self, app: ASGIApp, keyring: Keyring | None, metrics_open: bool) -> None:
        self.app = app
        self.keyring = keyring
        self.metrics_open = metrics_open

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Check the key, sent as `Authorization: Bearer` or `X-API-Key`."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        needed = needed_scope(scope["path"].removeprefix(scope.get("root_path", "")), self.metrics_open)
        error: Unauthenticated | Forbidden | None = None
        if self.keyring is None:
            caller = Caller(_address(scope), frozenset(SCOPES))
        else:
            secret = _secret(Headers(scope=scope))
            known = None if secret is None else self.keyring.caller(secret)
            caller = known or Caller(_address(scope))
            if needed is not None and known is None:
                said = "This key is not known" if secret else "A key is needed"
                error = Unauthenticated(f"{said}; send one as `Authorization: Bearer fg_…`.")
            elif needed is not None and needed not in caller.scopes:
                error = Forbidden(f"This key has not the scope {needed!r}; use one that has.")
        scope.setdefault("state", {})["caller"] = caller
        if (context := current()) is not None:
            context.caller = caller.id
        if error is not None:
            challenge = _CHALLENGE if isinstance(error, Unauthenticated) else {}
            # The body is not read, so the connection cannot be used again.
            await error_response(error, challenge | {"connection": "close"})(scope, receive, send)
            return
        await self.app(scope, receive, send)


def caller_of(connection: HTTPConnection) -> Caller:
    """The caller of a request."""
    return getattr(connection.state, "caller", ANONYMOUS)


def _secret(headers: Headers) -> str | None:
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and credentials.strip():
        return credentials.strip()
    return headers.get("x-api-key") or None


def _address(scope: AsgiScope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ANONYMOUS.id
