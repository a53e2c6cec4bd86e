"""A scoring request, and the scores it gets."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rewards.categories import Category, CategorySpec
from rewards.dataset import Passage
from rewards.segmentation import Span


@dataclass(frozen=True)
class ScoreRequest:
    """One response to score, with its question and passages."""

    question: str
    passages: tuple[Passage, ...]
    response: str


@dataclass(frozen=True)
class Segment:
    """A scored piece of the response: code-point offsets, end exclusive."""

    start: int
    end: int
    error_probability: float
    """Probability of an error of the category; for the built-in categories calibrated on what annotators mark."""
    error: bool
    """Whether the probability reaches the category's threshold."""
    label: str | None = None
    """The most likely annotation label of the error; None without an error, or if labels cannot be told apart."""


@dataclass(frozen=True)
class CategoryScores:
    """The scores of one response in one category."""

    segments: tuple[Segment, ...]
    """In order; empty only for an empty response. A category of density `response` has one, spanning the response."""
    rewards: tuple[float, ...]
    """The reward of each segment, in [-1, 1]: CategorySpec.reward of its error probability; for completeness
    `2 * sigmoid(score) - 1`, the chance of beating an average response, rescaled; for toxicity what the sentence
    changes in that of the text so far (rewards.toxicity.sentence_rewards)."""
    score: float | None = None
    """Completeness only: log-odds (Bradley-Terry) of covering more than an average annotated response."""

    def as_json(self) -> dict[str, Any]:
        """The wire format: segments, with a label where they have one, and the score if there is one."""
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
    """The scores of one response in every category."""

    categories: Mapping[Category, CategoryScores]
    """An entry for each category that judged it, in the scorer's order."""
    notes: tuple[str, ...] = ()
    """Sentences that say how the input differs from the training data of the reward models."""

    @property
    def in_domain(self) -> bool:
        """Whether the input is like the training data of the reward models; if not, its scores are extrapolation."""
        return not self.notes

    def as_json(self) -> dict[str, Any]:
        """What the HTTP interface and `fgctl score` add to a response: `scores` by category, `in_domain`, `notes`."""
        scores = {category: scores.as_json() for category, scores in self.categories.items()}
        return {"scores": scores, "in_domain": self.in_domain, "notes": list(self.notes)}


def category_scores(
    spec: CategorySpec,
    spans: Sequence[Span],
    probabilities: Sequence[float],
    threshold: float,
    labels: Sequence[str] | None = None,
) -> CategoryScores:
    """Scores from the error probability of each span: an error from `threshold` on, and the category's reward.

    `labels` are the most likely annotation labels of the spans; only errors keep theirs.
    """
    names: Sequence[str | None] = labels if labels is not None else [None] * len(spans)
    segments = tuple(
        Segment(start, end, float(p), bool(p >= threshold), label if p >= threshold else None)
        for (start, end), p, label in zip(spans, probabilities, names, strict=True)
    )
    return CategoryScores(segments, tuple(spec.reward(s.error_probability) for s in segments))


def summed_rewards(
    scored: Mapping[str, Any], categories: Mapping[Category, CategorySpec]
) -> dict[Category, float] | None:
    """The reward of a response in each category in its unit, from scores as ScoredResponse.as_json writes them.

    Weighted and added they are `weighted_reward`, up to rounding. None where a category has not judged it. Not of
    toxicity: what its sentences earn does not follow from their error probabilities.
    """
    rewards = {}
    for category, spec in categories.items():
        scores = scored["scores"].get(category)
        if scores is None:
            return None
        if "score" in scores:
            total = math.tanh(scores["score"] / 2) * len(scores["segments"])  # 2 sigmoid(score) - 1, of one segment
        else:
            total = sum(spec.reward(segment["error_probability"]) for segment in scores["segments"])
        rewards[category] = total / spec.unit
    return rewards


def weighted_rewards(
    scored: ScoredResponse, weights: Mapping[Category, float], categories: Mapping[Category, CategorySpec]
) -> dict[Category, float]:
    """What each weighted category adds to the reward: its segments' summed rewards, in its unit, times its weight."""
    return {
        category: weights[category] * sum(scores.rewards) / categories[category].unit
        for category, scores in scored.categories.items()
        if category in weights
    }


def weighted_reward(
    scored: ScoredResponse, weights: Mapping[Category, float], categories: Mapping[Category, CategorySpec]
) -> float:
    """What PPO maximises, without the KL penalty and the one for a missing end: the sum of `weighted_rewards`."""
    return sum(weighted_rewards(scored, weights, categories).values())
