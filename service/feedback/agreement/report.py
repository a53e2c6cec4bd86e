"""The agreement report as HTTP answers it: the types of what measures.py computes."""

from pydantic import BaseModel, ConfigDict

from service.feedback.figures import FeedbackFigures


class _Figures(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class AlphaFigure(_Figures):
    """Agreement on whether segments have an error of a category."""

    alpha: float | None
    """Krippendorff's alpha: 1 is perfect agreement, 0 that of chance; null where it is undefined."""


class SharedFigure(AlphaFigure):
    """Agreement of people on the answers that several of them annotated."""

    verdict: str
    """In words, whether that is enough."""
    units: int
    """Segments."""
    responses: int
    """Answers that several people annotated."""


class ModelFigure(AlphaFigure):
    """Agreement of the reward models with people, on annotated answers that were scored."""

    accuracy: float | None
    """Share of the segments on which both agree; null without any."""
    macro_f1: float | None
    units: int
    """Segments, each counted once for every person who annotated it."""


class SpanFigure(_Figures):
    """Agreement on the words marked with a label."""

    f1: float | None
    """2 |A and B| / (|A| + |B|) over all pairs of people; null where nobody marked the label."""
    words: int
    """|A| + |B|."""


class PeopleReport(_Figures):
    """How far people agree with each other."""

    categories: dict[str, SharedFigure]
    spans: dict[str, SpanFigure]
    """By label."""


class WeekReport(PeopleReport):
    """The same for the answers that a second person annotated in one week."""

    week: str
    """ISO week: `2026-W46`."""


class AnnotatorReport(_Figures):
    """How far one person agrees with everybody else."""

    annotations: int
    """Answers annotated."""
    categories: dict[str, AlphaFigure]
    spans: dict[str, SpanFigure]


class DifferingAnswer(_Figures):
    """An answer that people judge differently."""

    response_id: str
    question: str
    share: float
    """Of the segments, over all categories and pairs of people: on how many two people differ."""
    categories: list[str]
    """Those in which they differ."""
    people: dict[str, list[str]]
    """By name, what each marked, in words."""


class AgreementReport(_Figures):
    """How far people agree with each other, and the reward models with people."""

    people: PeopleReport
    annotators: dict[str, AnnotatorReport]
    """By name."""
    weeks: list[WeekReport]
    models: dict[str, ModelFigure]
    """By category."""
    differing: list[DifferingAnswer]
    """The answers that people differ on most, at most 50."""
    feedback: FeedbackFigures
    """What the store holds besides."""
