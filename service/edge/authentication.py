"""Who sends a request, and whether they may: pure ASGI middleware that runs before the body is read."""

from collections.abc import Sequence
from ipaddress import ip_address

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as AsgiScope

from service.domain.caller import ANONYMOUS, SCOPES, Caller
from service.edge.error_replies import error_response
from service.edge.keys import Keyring
from service.edge.request_context import current
from service.edge.route_scope import needed_scope
from service.errors import Forbidden, Unauthenticated

_CHALLENGE = {"www-authenticate": "Bearer"}


class Authentication:
    """Sets `request.state.caller`, and `open` where everybody may send the request.

    With a keyring, answers 401 without a valid key and 403 without the scope.
    """

    def __init__(self, app: ASGIApp, routes: Sequence[BaseRoute], keyring: Keyring | None, metrics_open: bool) -> None:
        """`routes` declare their scopes by `needs`; `metrics_open` opens those of scope `metrics` to everybody."""
        self.app = app
        self.routes = routes
        self.keyring = keyring
        self.metrics_open = metrics_open

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Check the key in `Authorization: Bearer` or `X-API-Key`."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        needed = needed_scope(self.routes, scope)
        if needed == "metrics" and self.metrics_open:
            needed = None
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
        state = scope.setdefault("state", {})
        state["caller"], state["open"] = caller, needed is None
        if (context := current()) is not None:
            context.caller = caller.id
        if error is not None:
            challenge = _CHALLENGE if isinstance(error, Unauthenticated) else {}
            # The body has not been read, so the connection cannot be reused.
            await error_response(error, scope, challenge | {"connection": "close"})(scope, receive, send)
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
    """The client's address. A proxy's X-Forwarded-For may hold any text, also one that looks like a key's id."""
    client = scope.get("client")
    try:
        return str(ip_address(str(client[0]).partition("%")[0])) if client else ANONYMOUS.id
    except ValueError:
        return ANONYMOUS.id
