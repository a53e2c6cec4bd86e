"""What the reward models are asked and what they answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rewards.categories import Category
from rewards.dataset import Passage


@dataclass(frozen=True)
class ScoreRequest:
    """One response to judge against its question and passages."""

    question: str
    passages: tuple[Passage, ...]
    response: str


@dataclass(frozen=True)
class Segment:
    """A judged piece of the response: code-point offsets, end exclusive."""

    start: int
    end: int
    error_probability: float
    """Calibrated probability that an annotator would mark an error of the category here."""
    error: bool
    """Whether the probability reaches the threshold stored with the model."""


@dataclass(frozen=True)
class CategoryScores:
    """One category's judgement of one response."""

    segments: tuple[Segment, ...]
    """In order; empty only for an empty response. Completeness has one, spanning the response."""
    rewards: tuple[float, ...]
    """Calibrated reward of each segment in [-1, 1]: `1 - 2 * error_probability` for relevance and
    factuality; for completeness `2 * sigmoid(score) - 1`, the chance of beating an average response, rescaled."""
    score: float | None = None
    """Completeness only: log-odds (Bradley-Terry) of covering more than an average annotated response."""

    def as_json(self) -> dict[str, Any]:
        """The wire shape: segments, and the score where there is one."""
        segments = [
            {
                "start": s.start,
                "end": s.end,
                "error_probability": round(s.error_probability, 4),
                "error": s.error,
            }
            for s in self.segments
        ]
        return {"segments": segments} | ({} if self.score is None else {"score": round(self.score, 4)})


Scores = Mapping[Category, CategoryScores]


def scores_as_json(scores: Scores) -> dict[str, Any]:
    """The `scores` object of the HTTP interface and of `fgctl score`."""
    return {category: judged.as_json() for category, judged in scores.items()}
