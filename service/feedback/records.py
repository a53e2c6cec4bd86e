"""What goes into the feedback store and what comes out of it. The HTTP interface uses the same types."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from service.feedback.labels import as_spelt

T = TypeVar("T")
Preference = Literal["a", "b", "tie", "neither"]
"""Which of two responses is better. `neither`: both are bad; like a tie, it prefers none."""
Side = Literal["a", "b"]
Order = Literal["sampled", "error_rate", "uncertain", "disagreed"]
WorkKind = Literal["annotation", "judgement", "comparison"]
State = Literal["open", "drafted", "submitted", "skipped"]
Outcome = Literal["stored", "corrected", "again"]
"""What becomes of imported feedback. It is a correction if its id is stored with different content, and is then stored
as a further version; or it is stored already."""


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("A text contains half of a surrogate pair; send valid Unicode.") from None
    return text


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("An id or name contains a character that cannot be printed; leave it out.")
    return _encodable(text)


def _storable(draft: dict[str, Any]) -> dict[str, Any]:
    try:
        _encodable(json.dumps(draft, ensure_ascii=False, allow_nan=False))
    except RecursionError:
        raise ValueError("A draft is nested too deeply; send a flatter one.") from None
    return draft


Text = Annotated[str, AfterValidator(_encodable)]
Label = Annotated[str, AfterValidator(as_spelt)]
"""An annotation label, whose case and outer space do not matter."""
Draft = Annotated[dict[str, Any], AfterValidator(_storable)]
"""Any JSON object."""
Thumb = Literal[-1, 0, 1]
Identifier = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_printable)]
"""An id or a name."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class StoredPassage(_Record):
    """A passage and its sentences."""

    title: Text = ""
    text: Text
    sentences: tuple[Text, ...] = ()
    """`sentence_id` counts these from 1."""


TURNS = "turns"
"""Where a served response's `extra` has the conversation that a later request may go on from."""


class NewResponse(_Record):
    """A response to store."""

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
    """Further content of an imported file; of a served response, its conversation under TURNS."""


class NewScores(_Record):
    """The reward models' scores of a response, to store."""

    response_id: Identifier
    rewards: str
    """Version of the reward models."""
    scored: dict[str, Any]
    """In the shape of ScoredResponse.as_json."""
    labels: str | None = None
    """Version of the label heads, if any named the errors."""


class StoredResponse(NewResponse):
    """A response in the store."""

    created: datetime
    scored: dict[str, Any] | None = None
    """The latest scores: `scores`, `in_domain`, `notes`; None until scored."""
    rewards: str | None = None
    """Version of the reward models that gave them."""
    labels: str | None = None
    """Version of the label heads that named the errors."""

    @property
    def turns(self) -> tuple[Mapping[str, str], ...] | None:
        """The conversation that it answers, as messages of `role` and `content`; None where that was not kept."""
        return None if TURNS not in (self.extra or {}) else tuple((self.extra or {})[TURNS])


class Span(_Record):
    """An error in a response: code points, end exclusive."""

    label: Label
    """One of the annotation labels of relevance and factuality."""
    start: int
    end: int
    explanation: Text = ""


class MissingInformation(_Record):
    """Information that a response lacks."""

    label: Label
    """One of the annotation labels of completeness."""
    passage_id: int
    """The passage that contains it, from 1."""
    sentence_id: tuple[int, ...] = ()
    """The sentences that contain it, from 1; 0 is the title."""


class Suggestion(_Record):
    """An error that the reward models suggested, and what the annotator did about it."""

    category: Text
    start: int
    end: int
    label: Text | None = None
    error_probability: float | None = Field(None, ge=0, le=1)
    outcome: Literal["accepted", "changed", "rejected"]


class Annotation(_Record):
    """An annotator's feedback on a response."""

    submission_id: Identifier
    """Made by the client, for example a UUID: the same submission sent twice is stored once."""
    response_id: Identifier
    annotator: Identifier
    errors: tuple[Span, ...] = ()
    missing: tuple[MissingInformation, ...] = ()
    corrected: Text | None = None
    """The response as it should be; None where nothing is wrong with it."""
    suggestions: tuple[Suggestion, ...] = ()
    seconds: float | None = Field(None, ge=0, allow_inf_nan=False)
    """Time the annotator took."""


class JudgedSentence(_Record):
    """What an annotator says of a sentence: code points, end exclusive."""

    start: int = Field(ge=0)
    end: int
    supported: bool | None
    """Whether the passages support it; None if the annotator cannot tell."""


class Judgement(_Record):
    """Whether the passages support each sentence of a response: the quick task, without labels and correction."""

    response_id: Identifier
    annotator: Identifier
    sentences: tuple[JudgedSentence, ...] = Field(min_length=1)


class StoredAnnotation(Annotation):
    """An annotation in the store."""

    id: int
    version: int
    """From 1; a correction by the same annotator is the next version."""
    created: datetime


class Assignment(_Record):
    """A response that an annotator is to annotate."""

    response: StoredResponse
    state: State
    version: int = 0
    """The annotator's latest version of the annotation, to send as `based_on`; 0 for none."""
    draft: dict[str, Any] | None = None
    """The draft saved last."""
    annotation: StoredAnnotation | None = None
    """The annotator's latest annotation of it, where they open it again."""


class QuickSpan(_Record):
    """A part of a response that an application marks."""

    start: int
    end: int
    label: Label | None = None
    comment: Text = ""


class QuickFeedback(_Record):
    """A thumb, spans and a comment from an application."""

    submission_id: Identifier
    response_id: Identifier
    caller: Identifier
    thumb: Thumb = 0
    spans: tuple[QuickSpan, ...] = ()
    comment: Text | None = None


class StoredQuick(QuickFeedback):
    """Quick feedback in the store."""

    id: int
    created: datetime


class Comparison(_Record):
    """Which of two responses is better."""

    submission_id: Identifier
    a: Identifier
    b: Identifier
    choice: Preference
    annotator: Identifier
    shown_first: Side | None = None
    """Which was shown first. The store fills it in for a pair that it handed out."""


class StoredComparison(Comparison):
    """A comparison in the store."""

    id: int
    created: datetime


class ImportedFeedback(_Record):
    """One person's feedback on a response, from a file."""

    responses: tuple[NewResponse, ...]
    """The annotated one first, then those that it was compared with."""
    annotation: Annotation
    successor: Identifier
    """The submission id of the annotation if its own id is stored with different content."""
    comparisons: tuple[Comparison, ...] = ()


class Pair(_Record):
    """Two responses to compare, and which to show first."""

    a: StoredResponse
    b: StoredResponse
    shown_first: Side


class Stored(_Record):
    """The receipt for a submission."""

    id: int
    version: int = 1
    again: bool = False
    """Whether the same submission was stored before."""
    questions: tuple[str, ...] = ()
    """For an annotation: sentences that ask for what would make it more useful; a further version may answer."""
    contradicts: tuple[str, ...] = ()
    """For a comparison: the responses that the annotator's comparisons now rank in a circle."""


class AnnotatorInfo(_Record):
    """A person who annotates."""

    id: int
    name: str
    created: datetime
    retired: datetime | None
    caller: str | None = None
    """The key that the name belongs to; None until a key uses it."""


class TrafficResponse(_Record):
    """A served and scored response that can be annotated, with what people say of it: a unit of an error rate."""

    id: str
    created: datetime
    profile: str | None
    policy: str | None
    """The policy's version."""
    text: Text
    scores: dict[str, Any]
    """By category, in the shape of CategoryScores.as_json."""
    rewards: str = ""
    """Version of the reward models that gave them."""
    annotations: tuple[StoredAnnotation, ...] = ()
    """The latest of each annotator."""
    judgements: tuple[tuple[JudgedSentence, ...], ...] = ()
    """Those of annotators who have judged the sentences alone."""
    judged_at: datetime | None = None
    """When the last of these was given."""
    probability: float | None = None
    """With what probability it would have been drawn by now; None if it was not drawn at random."""


class Counts(_Record):
    """How much the store holds."""

    responses: int
    scored: int
    annotatable: int
    annotated: int
    """Responses with an annotation."""
    annotations: int
    """All versions."""
    annotators: int
    quick_feedback: int
    comparisons: int


class Page(_Record, Generic[T]):
    """Some rows in the order in which they were stored."""

    items: tuple[T, ...]
    next: str | None
    """The cursor of the next page; None on the last."""
