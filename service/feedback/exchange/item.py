"""The neutral form of one person's feedback on one answer, between the store and the files of other tools."""

import hashlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from itertools import chain

from rewards.categories import MISSING_LABELS, SPAN_LABELS
from rewards.dataset import PAIRS, MissingInfo, SpanError

TIES = (0,) * len(PAIRS)

IMPORTED = "imported_"
"""How the ids of answers begin that came without one."""
_NAMESPACE = uuid.UUID("0c2e6f0e-8a5b-5c1b-9d0f-6d0f2f6f7a11")


@dataclass(frozen=True)
class Item:
    """One person's feedback on the first of one to four answers to a question."""

    question: str
    passages: tuple[tuple[str, ...], ...]
    """Each a title and its sentences, as they were given."""
    predictions: tuple[str, ...]
    """The annotated answer, and up to three others that it was compared with."""
    errors: tuple[SpanError, ...] = ()
    missing: tuple[MissingInfo, ...] = ()
    corrected: str | None = None
    """None where there was nothing to correct."""
    preference: tuple[int, ...] = TIES
    """One value for each of rewards.dataset.PAIRS: 0 tie, 1 the first is better, 2 the second."""
    gold: str = ""
    """A reference answer."""
    annotator: str | None = None
    response_id: str | None = None
    submission_id: str | None = None
    where: str = field(default="", compare=False)
    """Where in its file it stands."""


@dataclass(frozen=True)
class Refusal:
    """A record that cannot be taken, and why."""

    where: str
    """As in "line 3" or "record 7"."""
    reason: str


def content_digest(item: Item) -> str:
    """SHA-256 of what the item says, without its ids: equal where the same person said the same of the same answer."""
    content = asdict(replace(item, errors=(), missing=(), response_id=None, submission_id=None, where=""))
    content["errors"] = [one.model_dump() for one in item.errors]
    content["missing"] = [one.model_dump() for one in item.missing]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def submission_of(item: Item) -> str:
    """The item's submission id; one made of its content where it has none, so that a second import finds the first."""
    return item.submission_id or str(uuid.uuid5(_NAMESPACE, content_digest(item)))


def successor_of(item: Item) -> str:
    """The submission id of an item that says something else than what is kept under its own: a correction of that."""
    return str(uuid.uuid5(_NAMESPACE, f"{submission_of(item)} {content_digest(item)}"))


def comparison_of(item: Item, pair: tuple[int, int]) -> str:
    """The submission id of an item's comparison of two of its answers."""
    return str(uuid.uuid5(_NAMESPACE, f"{content_digest(item)} {pair[0]} {pair[1]}"))


def response_of(item: Item, which: int = 0) -> str:
    """The id of one of the item's answers, made of question, passages and text where it has none.

    Answers of the same text are told apart by their place.
    """
    if which == 0 and item.response_id:
        return item.response_id
    text = item.predictions[which]
    place = which if text in item.predictions[:which] else 0
    content = json.dumps([item.question, item.passages, text, *([place] if place else [])])
    return f"{IMPORTED}{hashlib.sha256(content.encode()).hexdigest()[:32]}"


def objection(item: Item) -> str | None:
    """What is wrong with an item in itself, in a sentence; None where nothing is."""
    if not item.question.strip() or not item.predictions[0].strip():
        return "The question or the answer is empty."
    found = chain(_objections_to_errors(item), _objections_to_missing(item), _objections_to_preferences(item))
    return next(found, None)


def _objections_to_errors(item: Item) -> Iterator[str]:
    size = len(item.predictions[0])
    for number, error in enumerate(item.errors, 1):
        if error.label not in SPAN_LABELS:
            yield f"Error {number} has the label {error.label!r}; the labels are {', '.join(SPAN_LABELS)}."
        if not error.start < error.end <= size:
            yield f"Error {number} runs from {error.start} to {error.end}, but the answer has {size} characters."


def _objections_to_missing(item: Item) -> Iterator[str]:
    for number, lack in enumerate(item.missing, 1):
        if lack.label not in MISSING_LABELS:
            yield f"Missing {number} has the label {lack.label!r}; the labels are {', '.join(MISSING_LABELS)}."
        if not 1 <= lack.passage_id <= len(item.passages):
            yield f"Missing {number} names passage {lack.passage_id}, but there are {len(item.passages)}."
            continue
        size = len(item.passages[lack.passage_id - 1])
        for sentence in lack.sentence_id:
            if not 0 <= sentence < size:
                yield f"Missing {number} names sentence {sentence} of a passage of {size - 1} sentences."


def _objections_to_preferences(item: Item) -> Iterator[str]:
    count = len(item.predictions)
    for pair, value in zip(PAIRS, item.preference, strict=True):
        if value and max(pair) > count:
            yield f"There is a preference between answers {pair[0]} and {pair[1]}, but only {count} answers."
