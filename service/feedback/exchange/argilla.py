"""Argilla 2's records: JSON as `dataset.records.to_json` writes it and `from_json` reads it.

Its spans are counted by the browser, so in UTF-16 units, whatever Python makes of them. What its questions have no
place for (explanations, which sentences are one piece of missing information) is JSON in the text question `notes`.
"""

import json
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from rewards.dataset import PAIRS, MissingInfo, SpanError
from service.feedback.exchange.context import Context, render
from service.feedback.exchange.files import reason_of, records, write_list
from service.feedback.exchange.item import Item, Refusal, objection, response_of
from service.feedback.exchange.offsets import from_utf16, to_utf16
from service.feedback.exchange.preferences import CHOICES, pair_name
from service.feedback.exchange.source import Source

_PEOPLE = uuid.UUID("6a2f0a54-0c3e-5f0e-8d5b-3f5f3e0c9b21")


def write(items: Iterable[Item], path: Path) -> int:
    """Write items as records with a response each. Raises FgctlError when the file cannot be written."""
    rows = [record(item) for item in items]
    write_list(path, rows)
    return len(rows)


def record(item: Item) -> dict[str, Any]:
    """An item as a record."""
    context, response = render(item.passages), item.predictions[0]
    source = Source.of(item).model_dump(mode="json", exclude_none=True)
    lacking = [
        {"label": m.label, "start": start, "end": end}
        for m in item.missing
        for start, end in (context.spans[m.passage_id, s] for s in m.sentence_id)
    ]
    said: dict[str, Any] = {
        "errors": [_utf16({"label": e.label, "start": e.start, "end": e.end}, response) for e in item.errors],
        "missing": [_utf16(one, context.text) for one in lacking],
        "notes": json.dumps(_notes(item), ensure_ascii=False),
    }
    if item.corrected is not None:
        said["corrected"] = item.corrected
    for pair, value in zip(PAIRS, item.preference, strict=True):
        if value:
            said[pair_name(pair)] = CHOICES[value]
    user = _user(item.annotator)
    return {
        "id": item.submission_id or response_of(item),
        "fields": {"question": item.question, "context": context.text, "response": response, "source": source},
        "metadata": {},
        "suggestions": {},
        "responses": {name: [{"value": value, "user_id": user}] for name, value in said.items()},
        "vectors": {},
    }


def _user(annotator: str | None) -> str:
    """Argilla's users have UUIDs: one made of the name."""
    return str(uuid.uuid5(_PEOPLE, annotator or ""))


def _notes(item: Item) -> dict[str, Any]:
    return {
        "explanations": [e.explanation for e in item.errors],
        "missing": [[m.label, m.passage_id, list(m.sentence_id)] for m in item.missing],
    }


def _utf16(span: dict[str, Any], text: str) -> dict[str, Any]:
    return span | {name: to_utf16(text, span[name]) for name in ("start", "end")}


def read(path: Path) -> Iterator[Item | Refusal]:
    """The items of a file, one a user of each record, and what cannot be taken of it.

    Raises FgctlError when the file cannot be read at all.
    """
    for where, row in records(path):
        if isinstance(row, Refusal):
            yield row
            continue
        try:
            people = _by_person(row["responses"])
        except (KeyError, TypeError, AttributeError) as error:
            yield _strange(where, error)
            continue
        if not people:
            yield Refusal(where, "Nobody has annotated it.")
        for number, (user, said) in enumerate(people.items(), 1):
            yield _taken(f"{where}, annotator {number}" if len(people) > 1 else where, row, user, said)


def _by_person(responses: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """What each user submitted, by question."""
    people: dict[str, dict[str, Any]] = {}
    for name, answers in responses.items():
        for answer in answers or []:
            if answer.get("status", "submitted") in ("submitted", None):
                people.setdefault(str(answer.get("user_id")), {})[name] = answer["value"]
    return people


def _strange(where: str, error: Exception) -> Refusal:
    return Refusal(where, f"It is not as Argilla writes it ({type(error).__name__}: {error}).")


def _taken(where: str, row: dict[str, Any], user: str, said: dict[str, Any]) -> Item | Refusal:
    try:
        item = _item(row["fields"], user, said)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        return _strange(where, error)
    except ValueError as error:
        return Refusal(where, reason_of(error))
    reason = objection(item)
    return Refusal(where, reason) if reason else replace(item, where=where)


def _item(fields: dict[str, Any], user: str, said: dict[str, Any]) -> Item:
    source, response = Source.model_validate({"question": fields["question"]} | fields["source"]), fields["response"]
    context = render(source.passages)
    if fields.get("context", context.text) != context.text:
        raise ValueError("The passages and their text in the field context do not agree.")
    notes = _read_notes(said.get("notes") or "{}")
    spans = [(one["label"], *_code_points(one, response)) for one in said.get("errors") or []]
    explanations = notes.get("explanations", [])
    if len(explanations) != len(spans):
        explanations = [notes.get("text", "")] * len(spans)
    preference = [CHOICES.index(said.get(pair_name(pair)) or "tie") for pair in PAIRS]
    ours = user == _user(source.annotator)
    return source.item(
        response,
        errors=tuple(
            SpanError(label=label, start=start, end=end, explanation=explanation)
            for (label, start, end), explanation in zip(spans, explanations, strict=True)
        ),
        missing=_lacking(said.get("missing") or [], notes.get("missing", []), context),
        corrected=said.get("corrected"),
        preference=tuple(preference),
        annotator=source.annotator if ours else user,
        submission_id=source.submission_id if ours else None,
    )


def _read_notes(text: str) -> dict[str, Any]:
    """The notes, or what a person wrote in their place as the explanation of every error."""
    try:
        notes = json.loads(text)
    except json.JSONDecodeError:
        return {"text": text}
    return notes if isinstance(notes, dict) else {"text": text}


def _code_points(span: dict[str, Any], text: str) -> tuple[int, int]:
    return from_utf16(text, span["start"]), from_utf16(text, span["end"])


def _lacking(marked: list[dict[str, Any]], noted: list[Any], context: Context) -> tuple[MissingInfo, ...]:
    """Missing information: as noted where the spans still say the same, otherwise one for each span and passage."""
    spans = [(one["label"], _code_points(one, context.text)) for one in marked]
    wanted = [(label, context.spans.get((p, s))) for label, p, sentences in noted for s in sentences]
    if wanted == spans:
        return tuple(MissingInfo(label=label, passage_id=p, sentence_id=tuple(s)) for label, p, s in noted)
    found = []
    for label, (start, end) in spans:
        groups: dict[int, list[int]] = {}
        for passage, sentence in context.places(start, end):
            groups.setdefault(passage, []).append(sentence)
        if not groups:
            raise ValueError(f"The missing information from {start} to {end} lies on no passage.")
        found += [MissingInfo(label=label, passage_id=p, sentence_id=tuple(s)) for p, s in groups.items()]
    return tuple(found)
