"""Argilla 2's records: JSON as `dataset.records.to_json` writes it and `from_json` reads it.

The browser counts Argilla's span offsets, so they are in UTF-16 units. What Argilla's questions have no place for
(explanations, which sentences belong to one piece of missing information) is JSON in the text question `notes`.
"""

import json
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from rewards.dataset import PAIRS, MissingInfo, SpanError
from service.feedback.exchange.files import reason_of, records, write_list
from service.feedback.exchange.item import Item, Refusal, objection, response_of
from service.feedback.exchange.offsets import from_utf16, to_utf16
from service.feedback.exchange.pair_questions import CHOICES, pair_name
from service.feedback.exchange.passage_text import PassageText, render
from service.feedback.exchange.task_source import TaskSource

_PEOPLE = uuid.UUID("6a2f0a54-0c3e-5f0e-8d5b-3f5f3e0c9b21")


def write(items: Iterable[Item], path: Path) -> int:
    """Write items as records with one response each. Raises FgctlError if the file cannot be written."""
    rows = [record(item) for item in items]
    write_list(path, rows)
    return len(rows)


def record(item: Item) -> dict[str, Any]:
    """An item as a record."""
    context, response = render(item.passages), item.predictions[0]
    source = TaskSource.of(item).model_dump(mode="json", exclude_none=True)
    gaps = [
        {"label": gap.label, "start": start, "end": end}
        for gap in item.missing
        for start, end in (context.spans[gap.passage_id, sentence] for sentence in gap.sentence_id)
    ]
    answers: dict[str, Any] = {
        "errors": [_utf16({"label": e.label, "start": e.start, "end": e.end}, response) for e in item.errors],
        "missing": [_utf16(gap, context.text) for gap in gaps],
        "notes": json.dumps(_notes(item), ensure_ascii=False),
    }
    if item.corrected is not None:
        answers["corrected"] = item.corrected
    for pair, value in zip(PAIRS, item.preference, strict=True):
        if value:
            answers[pair_name(pair)] = CHOICES[value]
    user = _user(item.annotator)
    return {
        "id": item.submission_id or response_of(item),
        "fields": {"question": item.question, "context": context.text, "response": response, "source": source},
        "metadata": {},
        "suggestions": {},
        "responses": {name: [{"value": value, "user_id": user}] for name, value in answers.items()},
        "vectors": {},
    }


def _user(annotator: str | None) -> str:
    """A UUID derived from the annotator's name, because Argilla's users have UUIDs."""
    return str(uuid.uuid5(_PEOPLE, annotator or ""))


def _notes(item: Item) -> dict[str, Any]:
    return {
        "explanations": [error.explanation for error in item.errors],
        "missing": [[gap.label, gap.passage_id, list(gap.sentence_id)] for gap in item.missing],
    }


def _utf16(span: dict[str, Any], text: str) -> dict[str, Any]:
    return span | {name: to_utf16(text, span[name]) for name in ("start", "end")}


def read(path: Path) -> Iterator[Item | Refusal]:
    """The items of a file, one for each user of each record, and a refusal for what cannot be used.

    Raises FgctlError if the file as a whole cannot be read.
    """
    for where, row in records(path):
        if isinstance(row, Refusal):
            yield row
            continue
        try:
            people = _answers_by_user(row["responses"])
        except (KeyError, TypeError, AttributeError) as error:
            yield _malformed(where, error)
            continue
        if not people:
            yield Refusal(where, "Nobody has annotated it.")
        for number, (user, answers) in enumerate(people.items(), 1):
            place = f"{where}, annotator {number}" if len(people) > 1 else where
            yield _item_or_refusal(place, row, user, answers)


def _answers_by_user(responses: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """The answers that each user submitted, by question."""
    people: dict[str, dict[str, Any]] = {}
    for question, answers in responses.items():
        for answer in answers or []:
            if answer.get("status", "submitted") in ("submitted", None):
                people.setdefault(str(answer.get("user_id")), {})[question] = answer["value"]
    return people


def _malformed(where: str, error: Exception) -> Refusal:
    return Refusal(where, f"It is not in Argilla's format ({type(error).__name__}: {error}).")


def _item_or_refusal(where: str, row: dict[str, Any], user: str, answers: dict[str, Any]) -> Item | Refusal:
    try:
        item = _item(row["fields"], user, answers)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        return _malformed(where, error)
    except ValueError as error:
        return Refusal(where, reason_of(error))
    reason = objection(item)
    return Refusal(where, reason) if reason else replace(item, where=where)


def _item(fields: dict[str, Any], user: str, answers: dict[str, Any]) -> Item:
    source = TaskSource.model_validate({"question": fields["question"]} | fields["source"])
    response, context = fields["response"], render(source.passages)
    if fields.get("context", context.text) != context.text:
        raise ValueError("The passages differ from their text in the field context.")
    notes = _read_notes(answers.get("notes") or "{}")
    spans = [(span["label"], *_code_points(span, response)) for span in answers.get("errors") or []]
    explanations = notes.get("explanations", [])
    if len(explanations) != len(spans):
        explanations = [notes.get("text", "")] * len(spans)
    preference = [CHOICES.index(answers.get(pair_name(pair)) or "tie") for pair in PAIRS]
    exported_from_here = user == _user(source.annotator)
    return source.item(
        response,
        errors=tuple(
            SpanError(label=label, start=start, end=end, explanation=explanation)
            for (label, start, end), explanation in zip(spans, explanations, strict=True)
        ),
        missing=_missing(answers.get("missing") or [], notes.get("missing", []), context),
        corrected=answers.get("corrected"),
        preference=tuple(preference),
        annotator=source.annotator if exported_from_here else user,
        submission_id=source.submission_id if exported_from_here else None,
    )


def _read_notes(text: str) -> dict[str, Any]:
    """The notes as `_notes` wrote them; any other text explains every error."""
    try:
        notes = json.loads(text)
    except json.JSONDecodeError:
        return {"text": text}
    return notes if isinstance(notes, dict) else {"text": text}


def _code_points(span: dict[str, Any], text: str) -> tuple[int, int]:
    return from_utf16(text, span["start"]), from_utf16(text, span["end"])


def _missing(marked: list[dict[str, Any]], noted: list[Any], context: PassageText) -> tuple[MissingInfo, ...]:
    """Missing information: as noted if the spans still match the notes, else one for each span and passage."""
    spans = [(span["label"], _code_points(span, context.text)) for span in marked]
    expected = [(label, context.spans.get((p, s))) for label, p, sentences in noted for s in sentences]
    if expected == spans:
        return tuple(MissingInfo(label=label, passage_id=p, sentence_id=tuple(s)) for label, p, s in noted)
    gaps = []
    for label, (start, end) in spans:
        by_passage: dict[int, list[int]] = {}
        for passage, sentence in context.places(start, end):
            by_passage.setdefault(passage, []).append(sentence)
        if not by_passage:
            raise ValueError(f"The missing information from {start} to {end} is not on any passage.")
        gaps += [MissingInfo(label=label, passage_id=p, sentence_id=tuple(s)) for p, s in by_passage.items()]
    return tuple(gaps)
