"""What each user answered to a record of Argilla."""

import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from rewards.dataset import PAIRS, MissingInfo, Number, SpanError
from service.feedback.exchange.argilla.exports import UNFINISHED, Answers, answers_of, fields_of
from service.feedback.exchange.argilla.records import user_of
from service.feedback.exchange.files import records
from service.feedback.exchange.item import AS_WRITTEN, Item, LeftOut, Read, ReadOptions, Refusal
from service.feedback.exchange.tasks.controls import IGNORED, Names, known_as
from service.feedback.exchange.tasks.offsets import from_utf16
from service.feedback.exchange.tasks.pair_questions import choice_of, pair_name
from service.feedback.exchange.tasks.passage_text import PassageText, render
from service.feedback.exchange.tasks.task_source import TaskSource
from service.feedback.exchange.usable import part_of, read_item

CONTROLS = ("errors", "missing", "corrected", "notes", *map(pair_name, PAIRS))
"""The questions that are read."""
_TOOL = "Argilla"


class _Mark(BaseModel):
    label: str
    start: Number
    end: Number


class _Values(BaseModel):
    errors: list[_Mark] = []
    missing: list[_Mark] = []
    corrected: str | None = None
    notes: str = ""


class _Notes(BaseModel):
    model_config = ConfigDict(extra="forbid")

    submission_id: str | None = None
    explanations: list[str] = []
    missing: list[tuple[str, Number, list[Number]]] = []
    text: str = ""


def read(path: Path, options: ReadOptions = AS_WRITTEN) -> Iterator[Read]:
    """The items of a file, one for each user of each record, and what cannot be used.

    Raises FgctlError if the file as a whole cannot be read.
    """
    for where, row in records(path):
        if isinstance(row, Refusal):
            yield row
            continue
        task = part_of(where, partial(_task, row), _TOOL)
        if isinstance(task, Refusal):
            yield task
            continue
        source, response, people = task
        submitted = {user: answers for user, answers in people.items() if answers.status in ("submitted", None)}
        if not submitted:
            reason = f"It has only {UNFINISHED}." if people else "Nobody has annotated it."
            yield Refusal(where, reason)
            continue
        for number, (user, answers) in enumerate(submitted.items(), 1):
            place = f"{where}, annotator {number}" if len(submitted) > 1 else where
            of_user = partial(_item_of_user, (source, response), user, answers, options.names)
            yield from read_item(place, row, of_user, _TOOL)
        yield from [LeftOut(where, UNFINISHED)] * (len(people) - len(submitted))


def _task(record: dict[str, Any]) -> tuple[TaskSource, str, dict[str | None, Answers]]:
    """A record's source and response, and what each user answered. Raises ValueError for one that lacks any of it."""
    fields = fields_of(record)
    return _source(fields), fields["response"], answers_of(record)


def _source(fields: dict[str, Any]) -> TaskSource:
    needed = ("question", "response", "source")
    source = fields.get("source")
    if isinstance(source, str):  # Argilla 1 has only fields of text
        try:
            source = json.loads(source)
        except ValueError:
            raise ValueError("Field source is not JSON.") from None
    if not isinstance(source, dict | None):
        raise ValueError("Field source is not a JSON object.")
    # The field is what was marked; what the source has of that name is not.
    content = {name: value for name, value in (source or {}).items() if name != "response"}
    own: dict[str, Any] = {"question": fields["question"]} if "question" in fields else {}
    parsed = TaskSource.within({**fields, **content, **own}, needed)
    if not isinstance(fields["response"], str):
        raise ValueError("Field response is not text.")
    context = render(parsed.passages).text
    if fields.get("context", context) != context:
        raise ValueError("The passages differ from their text in the field context.")
    return parsed


def _item_of_user(
    task: tuple[TaskSource, str], user: str | None, answers: Answers, names: Names, row: dict[str, Any]
) -> tuple[Item, tuple[()]]:
    """The item of a user's answers to a record, of which nothing is left out. Raises ValueError for drafts."""
    source, response = task
    exported_before = "status" not in row and user == user_of(source.annotator)
    if answers.status is None and row.get("status") != "completed" and not exported_before:
        raise ValueError(
            "Its answers have no status and it is not completed, so they may be drafts; export the records by "
            "to_list(flatten=True), which has it."
        )
    return _item(source, response, user, answers.values, names), ()


def _item(source: TaskSource, response: str, user: str | None, answers: Mapping[str, Any], names: Names) -> Item:
    known: dict[str, Any] = {}
    for question, value in answers.items():
        meant = known_as(question, names, CONTROLS, "question")
        if meant in known:
            raise ValueError(f"Two questions stand for {meant!r}; leave one of them out with --map QUESTION={IGNORED}.")
        if meant != IGNORED:
            known[meant] = value
    values, context = _Values.model_validate(known), render(source.passages)
    notes = _read_notes(values.notes)
    spans = [(mark.label, *_code_points(mark, response)) for mark in values.errors]
    explanations = notes.explanations
    if len(explanations) != len(spans):
        explanations = [notes.text] * len(spans)
    own = user == user_of(source.annotator) or notes.submission_id == source.submission_id is not None
    return source.item(
        response,
        own=own,
        user=user,
        errors=tuple(
            SpanError(label=label, start=start, end=end, explanation=explanation)
            for (label, start, end), explanation in zip(spans, explanations, strict=True)
        ),
        missing=_missing(values.missing, notes.missing, context),
        corrected=values.corrected,
        preference=tuple(choice_of(known.get(pair_name(pair), "tie"), pair_name(pair)) for pair in PAIRS),
    )


def _read_notes(text: str) -> _Notes:
    """The notes as they were exported; any other text explains every error."""
    try:
        return _Notes.model_validate_json(text) if text else _Notes()
    except ValidationError:
        return _Notes(text=text)


def _code_points(mark: _Mark, text: str) -> tuple[int, int]:
    return from_utf16(text, mark.start), from_utf16(text, mark.end)


def _missing(
    marked: list[_Mark], noted: list[tuple[str, int, list[int]]], context: PassageText
) -> tuple[MissingInfo, ...]:
    """Missing information: as noted if the spans still match the notes, else one for each span and passage."""
    spans = [(mark.label, _code_points(mark, context.text)) for mark in marked]
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
