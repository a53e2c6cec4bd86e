"""Items as Argilla's records.

What the questions have no place for (explanations, which sentences belong to one piece of missing information, which
annotation it is) is JSON in the text question `notes`.
"""

import json
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rewards.dataset import PAIRS
from service.feedback.exchange.files import write_list
from service.feedback.exchange.item import Item, response_of
from service.feedback.exchange.tasks.offsets import to_utf16
from service.feedback.exchange.tasks.pair_questions import CHOICES, pair_name
from service.feedback.exchange.tasks.passage_text import render
from service.feedback.exchange.tasks.task_source import TaskSource

_PEOPLE = uuid.UUID("6a2f0a54-0c3e-5f0e-8d5b-3f5f3e0c9b21")


def write(items: Iterable[Item], path: Path) -> int:
    """Write items as records with one response each. Raises FgctlError if the file cannot be written."""
    rows = [record(item) for item in items]
    write_list(path, rows)
    return len(rows)


def record(item: Item) -> dict[str, Any]:
    """An item as a record."""
    context, response = render(item.passages), item.predictions[0]
    source = TaskSource.of(item)
    gaps = [
        {"label": gap.label, "start": start, "end": end}
        for gap in item.missing
        for start, end in (context.spans[gap.passage_id, sentence] for sentence in gap.sentence_id)
    ]
    answers: dict[str, Any] = {
        "errors": [_utf16({"label": e.label, "start": e.start, "end": e.end}, response) for e in item.errors],
        "missing": [_utf16(gap, context.text) for gap in gaps],
        "notes": json.dumps(_notes(item, source), ensure_ascii=False),
    }
    if item.corrected is not None:
        answers["corrected"] = item.corrected
    for pair, value in zip(PAIRS, item.preference, strict=True):
        if value:
            answers[pair_name(pair)] = CHOICES[value]
    data, user = source.model_dump(mode="json", exclude_none=True), user_of(item.annotator)
    return {
        "id": item.submission_id or response_of(item),
        "fields": {"question": item.question, "context": context.text, "response": response, "source": data},
        "metadata": {},
        "suggestions": {},
        "responses": {
            name: [{"value": value, "user_id": user, "status": "submitted"}] for name, value in answers.items()
        },
        "vectors": {},
        "status": "completed",
    }


def user_of(annotator: str | None) -> str:
    """A UUID derived from the annotator's name, because Argilla's users have UUIDs."""
    return str(uuid.uuid5(_PEOPLE, annotator or ""))


def _notes(item: Item, source: TaskSource) -> dict[str, Any]:
    return {
        "submission_id": source.submission_id,
        "explanations": [error.explanation for error in item.errors],
        "missing": [[gap.label, gap.passage_id, list(gap.sentence_id)] for gap in item.missing],
    }


def _utf16(span: dict[str, Any], text: str) -> dict[str, Any]:
    return span | {name: to_utf16(text, span[name]) for name in ("start", "end")}
