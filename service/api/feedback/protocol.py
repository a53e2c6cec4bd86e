"""Wire types of feedback; service.feedback.records has those that the store knows too.

What is sent has a limit for every list and text, and validation ends at the first entry of a list that is wrong.
"""

import json
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, AwareDatetime, ConfigDict, Field

from service.api.common.wire import FewFields
from service.api.feedback.limits import LARGEST, LIMITS
from service.feedback.records import (
    Annotation,
    Comparison,
    Draft,
    Identifier,
    JudgedSentence,
    Judgement,
    MissingInformation,
    Order,
    QuickSpan,
    Span,
    Suggestion,
    Text,
    Thumb,
    WorkKind,
)

Record = TypeVar("Record", Annotation, Comparison)


def _limited(name: str, default: Any = ...) -> Any:
    """A text or list with the limit of its name; a list is refused at its first wrong entry."""
    return Field(default, max_length=LIMITS[name], fail_fast=True if default == () else None)


def _short_enough(draft: dict[str, Any]) -> dict[str, Any]:
    if len(json.dumps(draft, ensure_ascii=False)) > LIMITS["draft"]:
        raise ValueError(f"A draft has more than {LIMITS['draft']} characters as JSON; send a shorter one.")
    return draft


Number = Annotated[int, Field(ge=-LARGEST, le=LARGEST)]
"""An offset, a passage or a sentence."""
Label = Annotated[str, Field(max_length=LIMITS["label"])]
BasedOn = Annotated[int | None, Field(ge=0, le=LARGEST)]


class _Wire(FewFields):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class QuickSpanIn(FewFields, QuickSpan):
    """A part of an answer that an application marks."""

    start: Number
    end: Number
    label: Label | None = None
    comment: Text = _limited("comment", "")


class QuickIn(_Wire):
    """What an application says of an answer."""

    submission_id: Identifier
    """Made by the application, a UUID for example: the same submission sent twice is kept once."""
    thumb: Thumb = 0
    spans: tuple[QuickSpanIn, ...] = _limited("spans", ())
    """Places in the answer: code points, end exclusive."""
    comment: Text | None = _limited("comment", None)


class SpanIn(FewFields, Span):
    """An error in a response: code points, end exclusive."""

    label: Label
    """One of the annotation labels of relevance, factuality and toxicity."""
    start: Number
    end: Number
    explanation: Text = _limited("explanation", "")


class MissingIn(FewFields, MissingInformation):
    """Information that a response lacks."""

    label: Label
    """One of the annotation labels of completeness."""
    passage_id: Number
    """The passage that contains it, from 1."""
    sentence_id: tuple[Number, ...] = _limited("sentence_id", ())
    """The sentences that contain it, from 1; 0 is the title."""


class SuggestionIn(FewFields, Suggestion):
    """An error that the reward models suggested, and what the annotator did about it."""

    category: Text = _limited("category")
    start: Number
    end: Number
    label: Annotated[Text, Field(max_length=LIMITS["label"])] | None = None


class AnnotationIn(FewFields, Annotation):
    """An annotator's feedback on a response."""

    errors: tuple[SpanIn, ...] = _limited("errors", ())
    missing: tuple[MissingIn, ...] = _limited("missing", ())
    corrected: Text | None = _limited("corrected", None)
    """The response as it should be; None where nothing is wrong with it."""
    suggestions: tuple[SuggestionIn, ...] = _limited("suggestions", ())
    based_on: BasedOn = None
    """The version of their annotation that the annotator saw, 0 for none: if there is a later one, the submission is
    refused with 409. None replaces whatever there is."""


class ComparisonIn(FewFields, Comparison):
    """Which of two responses is better."""

    based_on: BasedOn = None
    """How often the annotator has compared the two, as far as they saw; like `based_on` of an annotation."""


class NextIn(_Wire):
    """Who asks for something to annotate."""

    annotator: Identifier
    """A name; one that is new becomes an annotator. Case and spaces at the ends do not matter. It belongs to the key
    that first uses it."""
    order: Order = "sampled"
    """At random, at random for the error rate (equally many of each profile), where the reward models are least sure
    first, or where those who judged differ most first."""


class NextJudgementIn(_Wire):
    """Who asks for a response whose sentences they judge; it is drawn for the error rate."""

    annotator: Identifier


class JudgedSentenceIn(FewFields, JudgedSentence):
    """What an annotator says of a sentence: code points, end exclusive."""

    start: Annotated[int, Field(ge=0, le=LARGEST)]
    end: Number


class JudgementIn(FewFields, Judgement):
    """Whether the passages support each sentence of a response."""

    sentences: tuple[JudgedSentenceIn, ...] = Field(min_length=1, max_length=LIMITS["sentences"], fail_fast=True)


class PairIn(_Wire):
    """Who asks for something to compare."""

    annotator: Identifier


class DraftIn(_Wire):
    """What an annotator has so far."""

    annotator: Identifier
    response_id: Identifier
    draft: Annotated[Draft, AfterValidator(_short_enough)]
    """Whatever the page wants back."""
    based_on: Annotated[int, Field(ge=0, le=LARGEST)] = 0
    """The version of their annotation that the annotator saw, 0 for none: if there is a later one, the draft is refused
    with 409."""


class SkipIn(_Wire):
    """What an annotator does not judge, and why."""

    annotator: Identifier
    response_id: Identifier
    reason: Text = _limited("reason", "")
    based_on: Annotated[int, Field(ge=0, le=LARGEST)] = 0
    """As in a draft."""


class OpenIn(_Wire):
    """Which response an annotator goes back to."""

    annotator: Identifier
    response_id: Identifier


class SkipPairIn(_Wire):
    """Which pair an annotator does not compare, and why."""

    annotator: Identifier
    a: Identifier
    b: Identifier
    reason: Text = _limited("reason", "")


class ProgressIn(_Wire):
    """Whose progress, and in what."""

    annotator: Identifier
    kind: WorkKind = "annotation"
    order: Order = "sampled"
    """The order in which responses are asked for: `disagreed` offers more of them."""
    since: AwareDatetime | None = None
    """When the annotator's day began."""


def stored_form(kind: type[Record], sent: Annotation | Comparison) -> Record:
    """What the store keeps of a submission: its record, without what only the request says."""
    return kind.model_validate(sent.model_dump(include=set(kind.model_fields)))
