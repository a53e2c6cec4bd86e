"""Pure ASGI middleware around the application, from the outermost inwards."""

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.domain.judged import TraceLink
from service.edge.client_disconnect import CLIENT_CLOSED
from service.edge.error_replies import error_response
from service.edge.logs import FIELDS
from service.edge.request_context import RequestContext, entered
from service.errors import BadRequest, HeadTooLarge, ServiceError, TooLarge, TooSlow
from service.telemetry.tracing import Tracing

logger = logging.getLogger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_PROBES = frozenset({"/livez", "/readyz", "/health", "/metrics"})
"""Requested by machines every few seconds. Never traced; logged when they fail, or at level debug."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CONTAINERS = 1 << 16
"""Lists and objects of a body, counted by their opening brackets, because more would take too long to parse."""
_OPEN_BODY = 1024
"""Bytes of a body that a route open to strangers reads at most: none of them needs a body."""

# Responses are not web pages, except the pages, which set their own policy.
_NO_PAGE = "default-src 'none'; frame-ancestors 'none'"


class SecurityHeaders:
    """Adds headers that keep browsers from guessing content types, caching, and showing responses in frames."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add each header that the response does not set itself."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("content-security-policy", _NO_PAGE)
                headers.setdefault("x-content-type-options", "nosniff")
                headers.setdefault("referrer-policy", "no-referrer")
                headers.setdefault("cache-control", "no-store")
            await send(message)

        await self.app(scope, receive, send_with_headers)


class RequestLog:
    """Gives every request an id, a context, one log line and a trace; answers 500 to unexpected errors."""

    def __init__(self, app: ASGIApp, tracing: Tracing | None) -> None:
        self.app = app
        self.tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Return X-Request-Id: the client's own id if it is valid, else a new one."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, headers = time.monotonic(), Headers(scope=scope)
        client_id = headers.get("x-request-id", "")
        context = RequestContext(client_id if _REQUEST_ID.fullmatch(client_id) else uuid.uuid4().hex)
        context.caller_link = TraceLink.of_header(headers.get("traceparent", ""))
        probe = scope["path"] in _PROBES
        if self.tracing is not None and not probe:
            context.span = self.tracing.begin(scope["method"], headers, {"http.request.method": scope["method"]})
        status = CLIENT_CLOSED

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).update(context.headers | {"x-request-id": context.id})
            await send(message)

        with entered(context):
            try:
                await self.app(scope, receive, send_with_id)
            except Exception:
                logger.exception("unexpected error on %s %s", scope["method"], _route(scope))
                if status != CLIENT_CLOSED:
                    raise  # the response has begun; the server closes the connection
                error = ServiceError(f"Request {context.id} failed unexpectedly; the service's log says why.")
                await error_response(error, scope)(scope, receive, send_with_id)
            finally:
                context.at_end.close()
                fields = _fields(context, scope, status, time.monotonic() - began)
                level = logging.DEBUG if probe and status < 500 else logging.INFO
                logger.log(level, "request", extra={FIELDS: fields})
                _finish(context, fields)


def _route(scope: Scope) -> str | None:
    """The route's template, such as `/responses/{response_id}`, because a path may hold anything."""
    return getattr(scope.get("route"), "path", None)


def _fields(context: RequestContext, scope: Scope, status: int, seconds: float) -> dict[str, object]:
    fields: dict[str, object] = {
        "method": scope["method"],
        "route": _route(scope),
        "status": status,
        "seconds": round(seconds, 4),
        "caller": context.caller,
    }
    if context.outcome is not None:
        fields |= {
            "profile": context.profile,
            "policy": context.policy,
            "outcome": context.outcome,
            "queue_seconds": round(context.queue_seconds, 4),
            "prompt_tokens": context.prompt_tokens,
            "completion_tokens": context.completion_tokens,
        }
    if context.prompts:
        fields["prompts"] = context.prompts
    return fields


def _finish(context: RequestContext, fields: Mapping[str, object]) -> None:
    status, route = int(str(fields["status"])), None if fields["route"] is None else str(fields["route"])
    context.span.set(
        {
            "http.route": route,
            "http.response.status_code": status,
            "fgctl.request_id": context.id,
            "fgctl.caller": context.caller,
            "fgctl.profile": context.profile,
            "fgctl.policy": context.policy,
            "fgctl.outcome": context.outcome,
            "gen_ai.usage.input_tokens": context.prompt_tokens or None,
            "gen_ai.usage.output_tokens": context.completion_tokens or None,
        },
        name=None if route is None else f"{fields['method']} {route}",
    )
    context.span.end(failed=status >= 500)


class HeadLimit:
    """Answers 431 when URL and headers exceed `limit` bytes, and 400 to control characters in the path.

    `head_limit.py` stops those that never end. Patterns of paths are easily wrong about line breaks, for routes as for
    rules of proxies, and no path needs any.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Look at the path, and count the bytes that the server has read."""
        if scope["type"] == "http":
            if _CONTROL.search(scope["path"]):
                refusal = BadRequest("The path contains a control character; leave it out.")
                await error_response(refusal, scope, {"connection": "close"})(scope, receive, send)
                return
            size = len(scope.get("raw_path") or b"") + len(scope["query_string"])
            size += sum(len(name) + len(value) + 4 for name, value in scope["headers"])
            if size > self.limit:
                error = HeadTooLarge(
                    f"URL and headers have {size} bytes, over the limit of {self.limit}; shorten them."
                )
                await error_response(error, scope, {"connection": "close"})(scope, receive, send)
                return
        await self.app(scope, receive, send)


class HeadRequests:
    """Answers HEAD wherever GET is answered: the same headers, no body."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Ask the application as by GET, and leave the body out."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return
        get = {**scope, "method": "GET"}

        async def send_without_body(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        try:
            await self.app(get, receive, send_without_body)
        finally:
            scope["route"] = get.get("route")  # for the log


class BodyLimit:
    """Answers 413 to a body over `limit` bytes, announced or not, and 408 to one that does not arrive in `seconds`.

    Routes that are open to strangers take hardly any body: it would be kept until it is complete. A body of too many
    lists and objects is answered by 413, too.
    """

    def __init__(self, app: ASGIApp, limit: int, seconds: float) -> None:
        self.app = app
        self.limit = limit
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Buffer the body up to the limit, then pass it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = min(self.limit, _OPEN_BODY) if scope.get("state", {}).get("open") else self.limit
        announced = Headers(scope=scope).get("content-length", "0")
        size = int(announced) if announced.isdecimal() and len(announced) < 20 else 0
        chunks: list[Message] = []
        arrived = 0
        more = size <= limit
        try:
            async with asyncio.timeout(self.seconds):
                while more:
                    message = await receive()
                    chunks.append(message)
                    arrived += len(message.get("body", b""))
                    size = max(size, arrived)
                    more = message.get("more_body", False) and size <= limit
        except TimeoutError:
            error: ServiceError = TooSlow(f"The body did not arrive within {self.seconds:g} s; send it again.", "body")
            await error_response(error, scope, {"connection": "close"})(scope, receive, send)
            return
        if size > limit:
            error = TooLarge(f"The body is over {limit} bytes; send shorter or fewer passages.", "body")
            await error_response(error, scope, {"connection": "close"})(scope, receive, send)
            return
        bodies = [message.get("body", b"") for message in chunks]
        containers = sum(body.count(b"[") + body.count(b"{") for body in bodies)
        if containers > _CONTAINERS:
            error = TooLarge(f"The body has {containers} brackets, over the limit of {_CONTAINERS}; send less.", "body")
            await error_response(error, scope)(scope, receive, send)
            return
        chunks.reverse()

        async def replay() -> Message:
            return chunks.pop() if chunks else await receive()

        await self.app(scope, replay, send)
