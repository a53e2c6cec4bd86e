"""doccano's JSON lines of sequence labelling: a text with spans `[start, end, label]`, in code points.

doccano names neither who annotated a text nor whether anybody has looked at it: a text without spans may be free of
errors, or not annotated yet.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

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
    start: int = Field(alias="start_offset")
    end: int = Field(alias="end_offset")


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
    return read_rows(path, lambda row: (_item(row, options), _left_out(row)))


def _left_out(row: Mapping[str, Any]) -> list[str]:
    return [what for column, what in _NOT_READ.items() for _ in row.get(column) or ()]


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
    """The spans of a row. Raises ValueError if it has none under a known name, or under several."""
    wanted = {name for name in row if names.get(name, name) in _COLUMNS}
    if not wanted:
        raise ValueError(
            f"It has the columns {', '.join(list(row)[:12])}, but no label; add --map COLUMN=label for that with spans."
        )
    filled = [name for name in wanted if row[name]]
    if len(filled) > 1:
        raise ValueError(f"Both {' and '.join(sorted(filled))} have spans; keep one of them.")
    return [_mark(span) for name in filled for span in row[name]]


def _mark(span: Any) -> Mark:
    if isinstance(span, dict):
        entity = _Entity.model_validate(span)
        return entity.label, entity.start, entity.end
    match span:
        case [int(start), int(end), str(label)]:
            return label, start, end
    raise ValueError(
        f"The label {str(span)[:64]!r} is not [start, end, label]; export a project of sequence labelling."
    )
