"""What goes into the feedback store and what comes out of it. The HTTP interface speaks the same types."""

import json
from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

T = TypeVar("T")
Preference = Literal["a", "b", "tie"]
Side = Literal["a", "b"]
Order = Literal["sampled", "uncertain", "disagreed"]
State = Literal["open", "drafted", "submitted", "skipped"]


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("A text holds half of a surrogate pair; send valid Unicode.") from None
    return text


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("An id or name holds a character that cannot be printed; leave it out.")
    return _encodable(text)


def _storable(draft: dict[str, Any]) -> dict[str, Any]:
    try:
        _encodable(json.dumps(draft, ensure_ascii=False, allow_nan=False))
    except RecursionError:
        raise ValueError("A draft is nested too deeply; send a flatter one.") from None
    return draft


Text = Annotated[str, AfterValidator(_encodable)]
Draft = Annotated[dict[str, Any], AfterValidator(_storable)]
"""What JSON can say."""
Thumb = Literal[-1, 0, 1]
Identifier = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_printable)]
"""An id or a name."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class StoredPassage(_Record):
    """A passage, by its sentences."""

    title: Text = ""
    text: Text
    sentences: tuple[Text, ...] = ()
    """What `sentence_id` counts, from 1."""


class NewResponse(_Record):
    """An answer to keep."""

    id: Identifier
    text: Text
    question: Text = ""
    passages: tuple[StoredPassage, ...] = ()
    profile: Identifier | None = None
    policy: Identifier | None = None
    """The policy's version."""
    weights: dict[str, float] | None = None
    finish_reason: str | None = None
    source: Literal["served", "imported"] = "served"
    caller: Identifier | None = None
    extra: dict[str, Any] | None = None
    """What an imported file says besides."""


class NewScores(_Record):
    """The reward models' judgement to keep."""

    response_id: Identifier
    rewards: str
    """Version of the reward models."""
    scored: dict[str, Any]
    """As of ScoredResponse.as_json."""
    labels: str | None = None
    """Version of what named its errors, where there was one."""


class StoredResponse(NewResponse):
    """An answer that is kept."""

    created: datetime
    scored: dict[str, Any] | None = None
    """The latest judgement: `scores`, `in_domain`, `notes`; None until scored."""
    rewards: str | None = None
    """The reward models that it is by."""
    labels: str | None = None
    """What named its errors."""


class Span(_Record):
    """An error in a response: code points, end exclusive."""

    label: str
    """One of the annotation labels of relevance and factuality."""
    start: int
    end: int
    explanation: Text = ""


class MissingInformation(_Record):
    """Information that a response lacks."""

    label: str
    """One of the annotation labels of completeness."""
    passage_id: int
    """The passage that has it, from 1."""
    sentence_id: tuple[int, ...] = ()
    """The sentences that have it, from 1; 0 is the title."""


class Suggestion(_Record):
    """What the reward models suggested, and what the annotator did about it."""

    category: Text
    start: int
    end: int
    label: Text | None = None
    error_probability: float | None = Field(None, ge=0, le=1)
    outcome: Literal["accepted", "changed", "rejected"]


class Annotation(_Record):
    """What an annotator says of a response."""

    submission_id: Identifier
    """Made by the client, a UUID for example: the same submission sent twice is kept once."""
    response_id: Identifier
    annotator: Identifier
    errors: tuple[Span, ...] = ()
    missing: tuple[MissingInformation, ...] = ()
    corrected: Text | None = None
    """The response as it should be; None where it is right as it is."""
    suggestions: tuple[Suggestion, ...] = ()
    seconds: float | None = Field(None, ge=0, allow_inf_nan=False)


class StoredAnnotation(Annotation):
    """An annotation that is kept."""

    id: int
    version: int
    """From 1; a correction by the same annotator is the next one."""
    created: datetime


class Assignment(_Record):
    """A response that an annotator is to judge."""

    response: StoredResponse
    state: State
    draft: dict[str, Any] | None = None
    """What was saved of it last."""


class QuickSpan(_Record):
    """A place in a response that an application marks."""

    start: int
    end: int
    label: str | None = None
    comment: Text = ""


class QuickFeedback(_Record):
    """A thumb and spans from an application."""

    submission_id: Identifier
    response_id: Identifier
    caller: Identifier
    thumb: Thumb = 0
    spans: tuple[QuickSpan, ...] = ()
    comment: Text | None = None


class StoredQuick(QuickFeedback):
    """QuickFeedback feedback that is kept."""

    id: int
    created: datetime


class Comparison(_Record):
    """Which of two answers is better."""

    submission_id: Identifier
    a: Identifier
    b: Identifier
    choice: Preference
    annotator: Identifier
    shown_first: Side | None = None
    """Which was shown first; of a pair of `next_pair` the store knows it."""


class StoredComparison(Comparison):
    """A comparison that is kept."""

    id: int
    created: datetime


class Pair(_Record):
    """Two answers to compare, in the order in which to show them."""

    a: StoredResponse
    b: StoredResponse
    shown_first: Side


class Stored(_Record):
    """What was kept of a submission."""

    id: int
    version: int = 1
    again: bool = False
    """Whether it had been kept before."""
    questions: tuple[str, ...] = ()
    """Of an annotation: what would make it more useful, in sentences; a further version may answer."""
    contradicts: tuple[str, ...] = ()
    """Of a comparison: responses that the annotator, with this, has put in a circle."""


class AnnotatorInfo(_Record):
    """A person who annotates."""

    id: int
    name: str
    created: datetime
    retired: datetime | None
    caller: str | None = None
    """The key that the name belongs to; None until one uses it."""


class Counts(_Record):
    """How much the store holds."""

    responses: int
    scored: int
    annotatable: int
    annotated: int
    """Responses with an annotation."""
    annotations: int
    """Of every version."""
    annotators: int
    quick_feedback: int
    comparisons: int


class Page(_Record, Generic[T]):
    """Some rows in the order in which they were stored."""

    items: tuple[T, ...]
    next: str | None
    """The cursor of the rows after them; None at the end."""
