"""What a scorer is asked and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rewards.categories import Category, CategorySpec
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
    """Probability of an error of the category here; for the built-in categories calibrated, to what annotators mark."""
    error: bool
    """Whether the probability reaches the category's threshold."""
    label: str | None = None
    """The annotation label an error most likely has; None without an error, and where labels cannot be told apart."""


@dataclass(frozen=True)
class CategoryScores:
    """One category's judgement of one response."""

    segments: tuple[Segment, ...]
    """In order; empty only for an empty response. A category of density `response` has one, spanning the response."""
    rewards: tuple[float, ...]
    """Reward of each segment in [-1, 1]: CategorySpec.reward of its error probability; for completeness
    `2 * sigmoid(score) - 1`, the chance of beating an average response, rescaled."""
    score: float | None = None
    """Completeness only: log-odds (Bradley-Terry) of covering more than an average annotated response."""

    def as_json(self) -> dict[str, Any]:
        """The wire shape: segments, those with a label naming it, and the score where there is one."""
        segments = [
            {
                "start": s.start,
                "end": s.end,
                "error_probability": round(s.error_probability, 4),
                "error": s.error,
            }
            | ({} if s.label is None else {"label": s.label})
            for s in self.segments
        ]
        return {"segments": segments} | ({} if self.score is None else {"score": round(self.score, 4)})


@dataclass(frozen=True)
class ScoredResponse:
    """Every category's judgement of one response."""

    categories: Mapping[Category, CategoryScores]
    """One entry for each of the scorer's categories, in their order."""
    notes: tuple[str, ...] = ()
    """In sentences, how the input is unlike what the reward models were fitted on."""

    @property
    def in_domain(self) -> bool:
        """Whether the input is like what the reward models were fitted on; other scores are extrapolation."""
        return not self.notes

    def as_json(self) -> dict[str, Any]:
        """What the HTTP interface and `fgctl score` add to a response: `scores` by category, `in_domain`, `notes`."""
        scores = {category: judged.as_json() for category, judged in self.categories.items()}
        return {"scores": scores, "in_domain": self.in_domain, "notes": list(self.notes)}


def weighted_reward(
    scored: ScoredResponse, weights: Mapping[Category, float], categories: Mapping[Category, CategorySpec]
) -> float:
    """What PPO maximises, without the KL penalty: each category's rewards summed, in its unit, times its weight."""
    return sum(
        weights[category] * sum(judged.rewards) / categories[category].unit
        for category, judged in scored.categories.items()
        if category in weights
    )
