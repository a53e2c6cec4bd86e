"""Server-sent events."""

import json
from collections.abc import AsyncIterator
from typing import Any

from sse_starlette import EventSourceResponse


def event_data(data: dict[str, Any]) -> str:
    """JSON on one line in ASCII, because some clients, httpx among them, also end a line at U+2028."""
    return json.dumps(data, allow_nan=False, separators=(",", ":"))


def event_stream(events: AsyncIterator[Any], **settings: Any) -> EventSourceResponse:
    """A response of events without the header `connection`: only the server knows whether it stays open."""
    response = EventSourceResponse(events, **settings)
    del response.headers["connection"]
    return response
