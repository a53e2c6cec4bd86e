"""Server-sent events, encoded once: a busy service writes thousands a second."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import anyio
from sse_starlette import EventSourceResponse
from starlette.responses import StreamingResponse
from starlette.types import Send

# JSON on one line in ASCII, because some clients, httpx among them, also end a line at U+2028.
_encode = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
_CLOSING_SECONDS = 30.0
"""Seconds that the source of a stream's events gets to end after its client has left."""


def event(data: dict[str, Any] | str, name: str | None = None, end: str = "\n") -> bytes:
    """An event of an object, or of a text without line breaks; `end` ends its lines."""
    text = data if isinstance(data, str) else _encode(data)
    return f"{'' if name is None else f'event: {name}{end}'}data: {text}{end}{end}".encode("ascii")


def pinged_stream(events: AsyncIterator[bytes]) -> EventSourceResponse:
    """A response of events, with a comment now and then while there are none."""
    response = EventSourceResponse(events)
    del response.headers["connection"]  # only the server knows whether it stays open
    return response


class EventStream(StreamingResponse):
    """A response of events and nothing else."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[bytes, None]) -> None:
        super().__init__(events, headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        self._events = events

    async def stream_response(self, send: Send) -> None:
        """Send the events. When the client leaves, their source is closed before anything else happens."""
        try:
            await super().stream_response(send)
        finally:
            with anyio.move_on_after(_CLOSING_SECONDS, shield=True):
                await self._events.aclose()
