"""A completion's scores, and what they say of it by category."""

from dataclasses import dataclass
from typing import NamedTuple

from rewards.categories import Category
from rewards.scores import ScoredResponse
from rewards.traits.response_traits import ResponseTraits


class CanaryTrial(NamedTuple):
    """A canary's and its incumbent's versions, and which arm a completion belongs to: `canary` or `incumbent`."""

    canary: str
    incumbent: str
    arm: str


@dataclass(frozen=True)
class ScoredCompletion:
    """A completion's scores by category, and its traits and those of its request."""

    scores: ScoredResponse
    traits: ResponseTraits


class Verdict(NamedTuple):
    """What one category says of an answer."""

    category: Category
    score: float
    """The mean reward of its segments, from -1 to 1: above 0, the answer is better than the category's break-even."""
    segments: int
    errors: int

    @property
    def label(self) -> str:
        """`error` if any segment is one, else `clean`."""
        return "error" if self.errors else "clean"

    @property
    def explanation(self) -> str:
        """The same as a sentence."""
        return f"{self.errors} of {self.segments} segments are judged to be errors."


def verdicts(scored: ScoredResponse) -> list[Verdict]:
    """The verdict of each category that found something to judge."""
    return [
        Verdict(
            category,
            sum(scores.rewards) / len(scores.rewards),
            len(scores.segments),
            sum(segment.error for segment in scores.segments),
        )
        for category, scores in scored.categories.items()
        if scores.rewards
    ]
