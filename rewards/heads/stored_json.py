"""How fitted heads are stored: JSON with rounded numbers, a version of its content, written in one step."""

import hashlib
import json
from pathlib import Path
from typing import Any


def nine_digits(dumped: Any) -> Any:
    """The same JSON with numbers rounded to nine digits, so that a file has exactly the weights it was saved with."""
    return json.loads(json.dumps(dumped), parse_float=lambda text: float(f"{float(text):.9g}"))


def content_version(content: Any) -> str:
    """The version of some JSON content: 12 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def write_in_one_step(path: Path, text: str) -> None:
    """Write a text file so that no reader ever sees half of it. Makes its directory if needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".new")
    scratch.write_text(text, encoding="utf-8")
    scratch.replace(path)
