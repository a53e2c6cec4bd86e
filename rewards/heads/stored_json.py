"""How fitted heads are stored: JSON with numbers of nine digits, named by a version of its content."""

import json
from typing import Any


def nine_digits(dumped: Any) -> Any:
    """The same JSON with its numbers rounded to nine digits, so that a file is the model."""
    return json.loads(json.dumps(dumped), parse_float=lambda text: float(f"{float(text):.9g}"))
