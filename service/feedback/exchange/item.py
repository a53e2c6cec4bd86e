"""The neutral form of one person's feedback on one response, between the store and the files of other tools."""

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from rewards.dataset import PAIRS, MissingInfo, SpanError
from service.feedback.labels import as_spelt
from service.feedback.records import StoredPassage
from service.feedback.validation import check_errors, check_missing

TIES = (0,) * len(PAIRS)
IMPORTED = "imported_"
"""Prefix of the ids given to responses that came without one."""
UNNAMED = "imported"
"""The annotator of feedback from files that name none."""
_NAMESPACE = uuid.UUID("0c2e6f0e-8a5b-5c1b-9d0f-6d0f2f6f7a11")


@dataclass(frozen=True)
class Item:
    """One person's feedback on the first of one to four responses to a question."""

    question: str
    passages: tuple[tuple[str, ...], ...]
    """For each passage its title and its sentences, as they came."""
    predictions: tuple[str, ...]
    """The annotated response, and up to three others that it was compared with."""
    errors: tuple[SpanError, ...] = ()
    missing: tuple[MissingInfo, ...] = ()
    corrected: str | None = None
    """None where nothing had to be corrected."""
    preference: tuple[int, ...] = TIES
    """One value for each of rewards.dataset.PAIRS: 0 tie, 1 the first is better, 2 the second."""
    gold: str = ""
    """A reference answer."""
    annotator: str | None = None
    response_id: str | None = None
    submission_id: str | None = None
    other_ids: tuple[str | None, ...] = ()
    """The ids of the other responses, None for those without one; empty if none has one."""
    where: str = field(default="", compare=False)
    """Its place in the file."""

    def __post_init__(self) -> None:
        """Spell known labels as they are spelt here; whether a label is known is up to `objection`."""
        for name in ("errors", "missing"):
            spelt = tuple(part.model_copy(update={"label": as_spelt(part.label)}) for part in getattr(self, name))
            object.__setattr__(self, name, spelt)


@dataclass(frozen=True)
class Refusal:
    """A record that cannot be used, and why."""

    where: str
    """For example "line 3" or "record 7"."""
    reason: str


@dataclass(frozen=True)
class LeftOut:
    """A part of a record that is not imported, although the rest is."""

    where: str
    what: str
    """In the plural, for example "relations"."""


Read = Item | Refusal | LeftOut
"""What a format reads."""


@dataclass(frozen=True)
class ReadOptions:
    """What a file of another tool does not say itself."""

    names: Mapping[str, str] = field(default_factory=dict)
    """What its forms call a control, and which of the format's CONTROLS that is: `{"label": "errors"}`."""
    empty_is_clean: bool = False
    """Whether a response without marks was annotated, where the tool does not say."""


AS_WRITTEN = ReadOptions()


def content_digest(item: Item) -> str:
    """SHA-256 of an item without its ids: equal for equal feedback by the same person on the same response."""
    nameless = replace(item, errors=(), missing=(), response_id=None, submission_id=None, where="")
    content = {name: value for name, value in asdict(nameless).items() if name != "other_ids"}
    content["errors"] = [error.model_dump() for error in item.errors]
    content["missing"] = [gap.model_dump() for gap in item.missing]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def submission_of(item: Item) -> str:
    """The item's submission id. Derived from its content if it has none, so that a second import is recognised."""
    return item.submission_id or str(uuid.uuid5(_NAMESPACE, content_digest(item)))


def successor_of(item: Item) -> str:
    """The submission id for an item whose own id is stored with other content: it is a correction of that."""
    return str(uuid.uuid5(_NAMESPACE, f"{submission_of(item)} {content_digest(item)}"))


def comparison_of(item: Item, pair: tuple[int, int]) -> str:
    """The submission id of an item's comparison of two of its responses."""
    return str(uuid.uuid5(_NAMESPACE, f"{content_digest(item)} {pair[0]} {pair[1]}"))


def response_of(item: Item, which: int = 0) -> str:
    """The id of one of the item's responses, derived from question, passages and text if it has none.

    The derived ids of equal texts differ by their position.
    """
    own = (item.response_id, *item.other_ids)
    if which < len(own) and (response_id := own[which]):
        return response_id
    text = item.predictions[which]
    place = which if text in item.predictions[:which] else 0
    content = json.dumps([item.question, item.passages, text, *([place] if place else [])])
    return f"{IMPORTED}{hashlib.sha256(content.encode()).hexdigest()[:32]}"


def objection(item: Item) -> str | None:
    """The first reason why an item cannot be used, as a sentence; None if it can.

    Spans and missing information must satisfy the rules of service.feedback.validation that are fatal.
    """
    if not item.question.strip() or not item.predictions[0].strip():
        return "The question or the answer is empty."
    violations = check_errors(item.errors, item.predictions[0], fatal=True)
    violations += check_missing(item.missing, [len(passage) - 1 for passage in item.passages], fatal=True)
    if violations:
        return f"Field {violations[0].field}: {violations[0].message}"
    for number, error in enumerate(item.errors):
        if error.start == error.end:
            return f"Field errors.{number}: The span at {error.start} is empty; mark some text or remove the span."
    for pair, value in zip(PAIRS, item.preference, strict=True):
        if value and max(pair) > len(item.predictions):
            return f"It prefers one of answers {pair[0]} and {pair[1]}, but has only {len(item.predictions)} answers."
    return None


def sentence_rows(passages: Sequence[StoredPassage]) -> tuple[tuple[str, ...], ...]:
    """Stored passages as an item has them."""
    return tuple((p.title, *(p.sentences or ((p.text,) if p.text else ()))) for p in passages)
