"""Prodigy's JSON lines, as `prodigy db-out` writes them: a text with `spans`, in code points, and an `answer`."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from rewards.dataset import Number
from service.feedback.exchange.files import write_lines
from service.feedback.exchange.item import AS_WRITTEN, Item, Read, ReadOptions
from service.feedback.exchange.tasks.controls import Names
from service.feedback.exchange.tasks.marked_text import MarkedText, columns
from service.feedback.exchange.usable import read_rows

CONTROLS = ("spans",)
"""The property that is read."""
_INTERFACES = ("ner", "ner_manual", "spans", "spans_manual", "relations")
"""Interfaces in which a task without the property `spans` has none."""
_ANSWERS = {
    "reject": "The annotator rejected it.",
    "ignore": "The annotator skipped it.",
    None: 'It has no "answer", so nobody has annotated it; import what `prodigy db-out` writes.',
}


class _Span(BaseModel):
    start: Number
    end: Number
    label: str | None = None


class _Task(BaseModel):
    answer: str | None = None
    annotator: str | None = None
    spans: list[_Span] | None = None
    relations: list[Any] | None = None


def write(items: Iterable[Item], path: Path) -> int:
    """Write items, one a line. Raises FgctlError if the file cannot be written."""
    rows = [
        {
            "text": item.predictions[0],
            "spans": [{"start": e.start, "end": e.end, "label": e.label} for e in item.errors],
            "answer": "accept",
            **columns(item),
        }
        for item in items
    ]
    write_lines(path, rows)
    return len(rows)


def read(path: Path, options: ReadOptions = AS_WRITTEN) -> Iterator[Read]:
    """The items of a file, and what cannot be used. Raises FgctlError if the file as a whole cannot be read."""
    return read_rows(path, lambda row: _item(row, options.names), "Prodigy")


def _item(row: Mapping[str, Any], names: Names) -> tuple[Item, list[str]]:
    """The item of a task, and what is left out of it."""
    renamed = dict(row) | {meant: row[name] for name, meant in names.items() if row.get(name) is not None}
    if row.get("spans") and renamed["spans"] is not row["spans"]:
        raise ValueError("Two properties have spans; keep one of them.")
    user = row.get("_annotator_id") or row.get("_session_id")
    task = _Task.model_validate(renamed | {"annotator": None if user is None else str(user)})
    if task.answer != "accept":
        unknown = f"The answer is {task.answer!r}; known are accept, reject and ignore."
        raise ValueError(_ANSWERS.get(task.answer, unknown))
    marked = MarkedText(row)
    if task.spans is None and row.get("_view_id") not in _INTERFACES:
        raise ValueError(
            f"It has {', '.join(list(row)[:12])}, but no spans; add --map PROPERTY=spans for the one with spans."
        )
    labelled = [(span.label, span.start, span.end) for span in task.spans or () if span.label]
    left_out = ["spans without a label"] * (len(task.spans or ()) - len(labelled))
    left_out += ["relations"] * len(task.relations or ())
    # What an annotator made of an exported task is theirs, as if it had come without an annotation.
    own = marked.source.digest is not None and task.annotator is None
    return marked.item(labelled, own=own, user=task.annotator), left_out
