"""What server-sent events carry."""

import json
from typing import Any


def event_data(data: dict[str, Any]) -> str:
    """JSON on one line for every client: some, httpx among them, also end a line at U+2028, which ASCII escapes."""
    return json.dumps(data, allow_nan=False, separators=(",", ":"))
