"""The data of server-sent events."""

import json
from typing import Any


def event_data(data: dict[str, Any]) -> str:
    """JSON on one line in ASCII, because some clients, httpx among them, also end a line at U+2028."""
    return json.dumps(data, allow_nan=False, separators=(",", ":"))
