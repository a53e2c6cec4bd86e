"""Items as Label Studio's tasks. Missing information is marked on the passages, joined to one text (`context`)."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rewards.dataset import PAIRS, MissingInfo, SpanError
from service.feedback.exchange.files import write_list
from service.feedback.exchange.item import Item
from service.feedback.exchange.tasks.pair_questions import CHOICES, pair_name
from service.feedback.exchange.tasks.passage_text import PassageText, render
from service.feedback.exchange.tasks.task_source import TaskSource


def write(items: Iterable[Item], path: Path) -> int:
    """Write items as tasks with one annotation each. Raises FgctlError if the file cannot be written."""
    tasks = [task(item) for item in items]
    write_list(path, tasks)
    return len(tasks)


def task(item: Item) -> dict[str, Any]:
    """An item as a task. Its data names the annotator, since Label Studio rejects annotations by unknown users."""
    context, response = render(item.passages), item.predictions[0]
    source = TaskSource.of(item)
    data = {"context": context.text, "response": response} | source.model_dump(mode="json", exclude_none=True)
    result = [region for number, error in enumerate(item.errors) for region in _error(number, error, response)]
    for number, gap in enumerate(item.missing):
        result += _missing(number, gap, context)
    if item.corrected is not None:
        result.append(_control("corrected", "response", "textarea", {"text": [item.corrected]}))
    for pair, value in zip(PAIRS, item.preference, strict=True):
        if value:
            result.append(_control(pair_name(pair), "response", "choices", {"choices": [CHOICES[value]]}))
    return {"data": data, "annotations": [{"id": source.number, "result": result}]}


def _error(number: int, error: SpanError, response: str) -> Iterator[dict[str, Any]]:
    where = {"start": error.start, "end": error.end}
    value = where | {"text": response[error.start : error.end], "labels": [error.label]}
    yield _control("errors", "response", "labels", value, f"error:{number}")
    if error.explanation:
        value = where | {"text": [error.explanation]}
        yield _control("explanation", "response", "textarea", value, f"error:{number}")


def _missing(number: int, gap: MissingInfo, context: PassageText) -> Iterator[dict[str, Any]]:
    for sentence in gap.sentence_id or (None,):
        start, end = context.spans[gap.passage_id, sentence or 0]
        place = f"{gap.passage_id}" if sentence is None else f"{gap.passage_id}.{sentence}"
        value = {"start": start, "end": end, "text": context.text[start:end], "labels": [gap.label]}
        yield _control("missing", "context", "labels", value, f"missing:{number}:{place}")


def _control(name: str, on: str, kind: str, value: dict[str, Any], region: str | None = None) -> dict[str, Any]:
    return {"id": region or name, "from_name": name, "to_name": on, "type": kind, "value": value, "origin": "manual"}
