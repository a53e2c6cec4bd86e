"""Pure ASGI middleware: the limit on request bodies, and request ids."""

import re
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import TooLarge, error_response

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


class BodyLimit:
    """Answers 413 to a body over `limit` bytes, whether its length was announced or it only arrives."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Buffer the body up to the limit, then hand it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        size = int(announced) if announced.isdecimal() else 0
        chunks: list[Message] = []
        more = size <= self.limit
        while more:
            message = await receive()
            chunks.append(message)
            size = max(size, sum(len(chunk.get("body", b"")) for chunk in chunks))
            more = message.get("more_body", False) and size <= self.limit
        if size > self.limit:
            error = TooLarge(f"The body is over {self.limit} bytes; send shorter or fewer passages.", "body")
            await error_response(error, {"connection": "close"})(scope, receive, send)
            return

        async def replay() -> Message:
            return chunks.pop(0) if chunks else await receive()

        await self.app(scope, replay, send)


class RequestId:
    """Gives every request an id, the client's own where it sent a sound one, and returns it as X-Request-Id."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the header to the response."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        asked = Headers(scope=scope).get("x-request-id", "")
        request_id = asked if _REQUEST_ID.fullmatch(asked) else uuid.uuid4().hex

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["x-request-id"] = request_id
            await send(message)

        await self.app(scope, receive, send_with_id)
