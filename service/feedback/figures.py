"""How much feedback there is: of one annotator's work, of each version's answers, and of everything."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict


class _Figures(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class DoneResponse(_Figures):
    """A response that an annotator has submitted or skipped."""

    response_id: str
    question: str
    at: datetime
    skipped: bool
    marks: int
    """Errors and missing information."""
    profile: str | None
    """Which profile gave the answer; annotators see it only afterwards."""


class Progress(_Figures):
    """How far an annotator is."""

    done: int
    """Responses annotated, or pairs compared."""
    today: int
    """Those since the time that was asked about."""
    left: int
    """Those that the annotator would get; 1,000 stands for as many or more."""
    last: tuple[DoneResponse, ...] = ()
    """The responses done last, the latest first."""


class VersionFigures(_Figures):
    """What people say about the answers of one version."""

    profile: str
    policy: str
    thumbs_up: int = 0
    """The latest thumb of each caller on each answer counts."""
    thumbs_down: int = 0
    wins: int = 0
    """Comparisons in which its answer was better; the latest of each annotator and pair counts."""
    losses: int = 0
    ties: int = 0
    """Neither was better: equally good, or both bad."""


class PersonFigures(_Figures):
    """What one annotator has done besides annotating."""

    comparisons: int = 0
    skipped: int = 0


class FeedbackFigures(_Figures):
    """What the store holds, as the agreement page, the metrics and the command line show it."""

    left: int
    """Responses that can be annotated and that nobody has annotated."""
    choices: dict[str, int]
    """Comparisons by choice, the latest of each annotator and pair: `a`, `b`, `tie`, `neither`."""
    skips: dict[str, dict[str, int]]
    """By `annotation` and `comparison`, the skips by reason."""
    versions: tuple[VersionFigures, ...]
    people: dict[str, PersonFigures]
    """By annotator's name."""
