"""Files of JSON records: a JSON list, or JSON lines."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rewards.errors import FgctlError
from service.feedback.exchange.item import Refusal


def records(path: Path) -> Iterator[tuple[str, dict[str, Any] | Refusal]]:
    """Every record of a file and its place ("record 7", "line 3"), or why it cannot be used.

    Raises FgctlError if the file as a whole cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise FgctlError(f"{path} does not exist; name an existing file.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise FgctlError(f"{path} cannot be read as text ({error}); name a UTF-8 JSON file.") from None
    if text.lstrip().startswith("["):
        yield from _list_records(path, text)
        return
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"line {number}"
        try:
            yield where, _record(where, json.loads(line))
        except json.JSONDecodeError as error:
            yield where, Refusal(where, f"It is not JSON ({error.msg}, column {error.colno}).")


def _list_records(path: Path, text: str) -> Iterator[tuple[str, dict[str, Any] | Refusal]]:
    try:
        rows = json.loads(text)
    except json.JSONDecodeError as error:
        raise FgctlError(f"{path} is not JSON ({error.msg}, line {error.lineno}); fix or replace the file.") from None
    for number, row in enumerate(rows, 1):
        where = f"record {number}"
        yield where, _record(where, row)


def _record(where: str, row: Any) -> dict[str, Any] | Refusal:
    return row if isinstance(row, dict) else Refusal(where, "It is not a JSON object.")


def write_list(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write records as a JSON list, replacing the file in one step. Raises FgctlError if it cannot be written."""
    scratch = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        scratch.replace(path)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise FgctlError(f"{path} cannot be written ({error}); name another file.") from None


def reason_of(error: ValueError) -> str:
    """A validation error as a sentence that names the field."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    message = first["msg"].removeprefix("Value error, ").rstrip(".")
    return f"Field {where}: {message}." if where else f"{message}."
