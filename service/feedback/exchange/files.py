"""Files of JSON records: a JSON list, JSON lines, or one object."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rewards.errors import FgctlError
from service.feedback.exchange import foreign
from service.feedback.exchange.item import Refusal


def records(path: Path) -> Iterator[tuple[str, dict[str, Any] | Refusal]]:
    """Every record of a file and its place ("record 7", "line 3"), or why it cannot be used.

    Raises FgctlError if the file as a whole cannot be read.
    """
    text = _text(path)
    if name := foreign.format_of(path, text):
        raise FgctlError(f"{path} is {name}; {foreign.INSTEAD}.")
    if text.lstrip().startswith("["):
        yield from _list_records(path, text)
    elif "\n" in text.strip() and isinstance(whole := _parsed(text), dict):
        yield "record 1", _record("record 1", whole)
    else:
        yield from _line_records(path, text)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise FgctlError(f"{path} does not exist; name an existing file.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise FgctlError(f"{path} cannot be read as text ({error}); name a UTF-8 JSON file.") from None


def _list_records(path: Path, text: str) -> Iterator[tuple[str, dict[str, Any] | Refusal]]:
    rows = _parsed(text)
    if isinstance(rows, _NotJson):
        raise FgctlError(f"{path} is not JSON ({rows.reason}, line {rows.line}); fix or replace the file.")
    for number, row in enumerate(rows, 1):
        where = f"record {number}"
        yield where, _record(where, row)


def _line_records(path: Path, text: str) -> Iterator[tuple[str, dict[str, Any] | Refusal]]:
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    rows = [(f"line {number}", _parsed(line)) for number, line in lines]
    # Lines of an object that was cut off may be JSON as well, but are indented.
    if not any(line.startswith("{") and isinstance(row, dict) for (_, line), (_, row) in zip(lines, rows, strict=True)):
        whole = _parsed(text)
        if isinstance(whole, _NotJson) and lines:
            raise FgctlError(
                f"{path} is neither a JSON list nor JSON lines ({whole.reason}, line {whole.line}); write a list, or "
                f"one object a line."
            )
    for where, row in rows:
        if isinstance(row, _NotJson):
            yield where, Refusal(where, f"It is not JSON ({row.reason}, column {row.column}).")
        else:
            yield where, _record(where, row)


@dataclass(frozen=True)
class _NotJson:
    """Why a text is not JSON, and where."""

    reason: str
    line: int = 1
    column: int = 1


def _parsed(text: str) -> Any:
    """The JSON of a text, or a _NotJson."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        return _NotJson(error.msg, error.lineno, error.colno)
    except ValueError:
        return _NotJson("a number has too many digits")
    except RecursionError:
        return _NotJson("it is nested too deeply")


def _record(where: str, row: Any) -> dict[str, Any] | Refusal:
    if not isinstance(row, dict):
        return Refusal(where, "It is not a JSON object.")
    if name := foreign.format_of_record(row):
        return Refusal(where, f"It is {name}; {foreign.INSTEAD}.")
    return row


def write_list(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write records as a JSON list, replacing the file in one step. Raises FgctlError if it cannot be written."""
    _write(path, json.dumps(rows, indent=1, ensure_ascii=False) + "\n")


def write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write records as JSON lines, replacing the file in one step. Raises FgctlError if it cannot be written."""
    _write(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _write(path: Path, content: str) -> None:
    scratch = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_text(content, encoding="utf-8")
        scratch.replace(path)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise FgctlError(f"{path} cannot be written ({error}); name another file.") from None


_EXPECTED = {"model_type": "an object", "dict_type": "an object", "tuple_type": "a list"}
"""What pydantic calls by the names of Python's types and of classes here, as JSON has it."""


def reason_of(error: ValueError) -> str:
    """A validation error as a sentence that names the field."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    expected = _EXPECTED.get(first["type"])
    message = f"Input should be {expected}" if expected else first["msg"].removeprefix("Value error, ").rstrip(".")
    return f"Field {where}: {message}." if where else f"{message}."
