"""doccano's JSON lines of sequence labelling: a text with spans `[start, end, label]`, in code points.

doccano names neither who annotated a text nor whether anybody has looked at it: a text without spans may be free of
errors, or not annotated yet.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from rewards.dataset import Number
from service.feedback.exchange.files import write_lines
from service.feedback.exchange.item import AS_WRITTEN, Item, Read, ReadOptions, content_digest
from service.feedback.exchange.tasks.controls import Names
from service.feedback.exchange.tasks.marked_text import Mark, MarkedText, columns
from service.feedback.exchange.usable import read_rows

CONTROLS = ("label",)
"""The column that is read."""
_COLUMNS = ("label", "labels", "entities")
"""What doccano's versions call the spans."""
_NOT_READ = {"relations": "relations", "cats": "categories", "Comments": "comments"}


class _Entity(BaseModel):
    label: str
    start: Number = Field(alias="start_offset")
    end: Number = Field(alias="end_offset")


def write(items: Iterable[Item], path: Path) -> int:
    """Write items, one a line. Raises FgctlError if the file cannot be written."""
    rows = [
        {"text": item.predictions[0], "label": [[e.start, e.end, e.label] for e in item.errors], **columns(item)}
        for item in items
    ]
    write_lines(path, rows)
    return len(rows)


def read(path: Path, options: ReadOptions = AS_WRITTEN) -> Iterator[Read]:
    """The items of a file, and what cannot be used. Raises FgctlError if the file as a whole cannot be read."""
    return read_rows(path, lambda row: (_item(row, options), _left_out(row)), "doccano")


def _left_out(row: Mapping[str, Any]) -> list[str]:
    return [what for column, what in _NOT_READ.items() for _ in _list(row, column, f"a list of {what}")]


def _item(row: Mapping[str, Any], options: ReadOptions) -> Item:
    marked, marks = MarkedText(row), _marks(row, options.names)
    digest = marked.source.digest
    item = marked.item(marks, own=digest is not None)
    if not marks and not options.empty_is_clean and content_digest(item) != digest:
        raise ValueError(
            "It has no spans, and doccano does not say whether that means no errors or not annotated; export only "
            "approved texts and add --empty-is-clean."
        )
    return item


def _marks(row: Mapping[str, Any], names: Names) -> list[Mark]:
    """The spans of a row. Raises ValueError if it has none under a known name, or under several, or no list of them."""
    wanted = {name for name in row if names.get(name, name) in _COLUMNS}
    if not wanted:
        raise ValueError(
            f"It has the columns {', '.join(list(row)[:12])}, but no label; add --map COLUMN=label for that with spans."
        )
    filled = {name: spans for name in wanted if (spans := _list(row, name, "a list of [start, end, label]"))}
    if len(filled) > 1:
        raise ValueError(f"Both {' and '.join(sorted(filled))} have spans; keep one of them.")
    return [_mark(span) for spans in filled.values() for span in spans]


def _list(row: Mapping[str, Any], column: str, expected: str) -> list[Any]:
    """The entries of a column, none if it is absent. Raises ValueError for anything but a list, even if it is empty."""
    value = row.get(column)
    if value is not None and not isinstance(value, list):
        raise ValueError(
            f"The column {column} is {_shown(value)}, not {expected}; export a project of sequence labelling."
        )
    return value or []


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:64]


def _mark(span: Any) -> Mark:
    if isinstance(span, dict):
        entity = _Entity.model_validate(span)
        return entity.label, entity.start, entity.end
    match span:
        case [int(start), int(end), str(label)] if not isinstance(start, bool) and not isinstance(end, bool):
            return label, start, end
    raise ValueError(f"The label {_shown(span)} is not [start, end, label]; export a project of sequence labelling.")
