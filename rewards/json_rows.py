"""Rows of a JSON file, a list or JSON lines, checked against their schema."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from rewards.errors import FgctlError

_Row = TypeVar("_Row", bound=BaseModel)
HALF_A_CHARACTER = "half of a surrogate pair, which is no character; write the whole character"
"""What is wrong with a text that is `unencodable`, and what to do."""


def load_rows(path: Path, row_type: type[_Row]) -> list[_Row]:
    """The rows of a file, in UTF-8 with or without a byte order mark.

    Raises FgctlError naming the file, and the line, or the row and field, that is invalid.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise FgctlError(f"{path} does not exist; name an existing file or set FGCTL_DATA.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise FgctlError(f"{path} cannot be read as text ({error}); name a UTF-8 JSON file.") from None
    try:
        rows = list(_lines(text)) if text.lstrip().startswith("{") else json.loads(text)
    except json.JSONDecodeError as error:
        raise FgctlError(
            f"{path} is not JSON ({error.msg}, line {error.lineno}); write a list of rows, or one row a line."
        ) from None
    if not isinstance(rows, list):
        raise FgctlError(f"{path} holds a JSON {type(rows).__name__}; a list of rows is expected.")
    return validated(rows, str(path), row_type)


def validated(rows: Sequence[Any], source: str, row_type: type[_Row]) -> list[_Row]:
    """Rows as their type. Raises FgctlError naming `source`, and the row and field that is invalid."""
    for number, row in enumerate(rows):
        if (field := unencodable(row)) is not None:
            where = f", field {field}" if field else ""
            raise FgctlError(f"{source}, row {number}{where}: {HALF_A_CHARACTER}.")
    try:
        return TypeAdapter(list[row_type]).validate_python(rows)  # type: ignore[valid-type]
    except ValidationError as error:
        first = error.errors()[0]
        invalid, *fields = first["loc"]
        where = f", field {'.'.join(map(str, fields))}" if fields else ""
        message = first["msg"].removeprefix("Value error, ")
        raise FgctlError(f"{source}, row {invalid}{where}: {message}; fix that row and run again.") from None


def unencodable(value: Any, field: str = "") -> str | None:
    """The dotted field of a text that UTF-8 cannot write, as JSON's escapes allow; None where there is none."""
    if isinstance(value, str):
        return None if value.isascii() or not any("\ud800" <= c <= "\udfff" for c in value) else field
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    inner = (unencodable(part, f"{field}.{key}" if field else str(key)) for key, part in items)
    return next((name for name in inner if name is not None), None)


def _lines(text: str) -> Iterator[Any]:
    """The rows of JSON lines. Raises JSONDecodeError with the file's line."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield json.loads(line)
            except json.JSONDecodeError as error:
                error.lineno = number
                raise
