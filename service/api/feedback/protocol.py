"""Wire types of feedback; service.feedback.records has those that the store knows too."""

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from service.feedback.records import Draft, Identifier, Order, QuickSpan, Text, Thumb, WorkKind


class _Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class QuickIn(_Wire):
    """What an application says of an answer."""

    submission_id: Identifier
    """Made by the application, a UUID for example: the same submission sent twice is kept once."""
    thumb: Thumb = 0
    spans: tuple[QuickSpan, ...] = Field((), max_length=1000)
    """Places in the answer: code points, end exclusive."""
    comment: Text | None = Field(None, max_length=10_000)


class NextIn(_Wire):
    """Who asks for something to annotate."""

    annotator: Identifier
    """A name; one that is new becomes an annotator. It belongs to the key that first uses it."""
    order: Order = "sampled"
    """At random, where the reward models are least sure first, or where those who judged differ most first."""


class PairIn(_Wire):
    """Who asks for something to compare."""

    annotator: Identifier


class DraftIn(_Wire):
    """What an annotator has so far."""

    annotator: Identifier
    response_id: Identifier
    draft: Draft
    """Whatever the page wants back."""


class SkipIn(_Wire):
    """What an annotator does not judge, and why."""

    annotator: Identifier
    response_id: Identifier
    reason: Text = Field("", max_length=10_000)


class OpenIn(_Wire):
    """Which response an annotator goes back to."""

    annotator: Identifier
    response_id: Identifier


class SkipPairIn(_Wire):
    """Which pair an annotator does not compare, and why."""

    annotator: Identifier
    a: Identifier
    b: Identifier
    reason: Text = Field("", max_length=10_000)


class ProgressIn(_Wire):
    """Whose progress, and in what."""

    annotator: Identifier
    kind: WorkKind = "annotation"
    order: Order = "sampled"
    """The order in which responses are asked for: `disagreed` offers more of them."""
    since: AwareDatetime | None = None
    """When the annotator's day began."""
