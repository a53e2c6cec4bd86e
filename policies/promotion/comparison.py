"""Whether a version may replace another: the paired difference of their weighted rewards, question by question."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from policies.manifest import PolicyManifest

_RESAMPLES = 10_000
_MUST_AGREE = {
    "questions": "answered different questions",
    "rewards": "were scored by different reward models",
    "decoding": "were sampled differently",
}


class Difference(BaseModel):
    """A mean difference over questions, and its 95 % interval."""

    model_config = ConfigDict(frozen=True)

    difference: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.difference:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


class NotComparable(Exception):
    """Two evaluations whose rewards cannot be compared; the message is a clause that says why."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.remedy = remedy
        """What to do about it, as an imperative clause."""


def paired_difference(candidate: Sequence[float], current: Sequence[float]) -> Difference:
    """The mean of `candidate - current` over Q questions, with the percentile interval of the paired bootstrap.

    A resample draws the same questions for both (Efron 1979; Koehn 2004); the seed is fixed.
    """
    differences = np.asarray(candidate, dtype=np.float64) - np.asarray(current, dtype=np.float64)
    questions = len(differences)
    counts = np.random.default_rng(0).multinomial(questions, np.full(questions, 1 / questions), size=_RESAMPLES)
    low, high = np.quantile(counts @ differences / questions, [0.025, 0.975])
    return Difference(difference=float(differences.mean()), low=float(low), high=float(high))


def reward_difference(candidate: PolicyManifest, current: PolicyManifest) -> Difference:
    """How much more weighted reward the candidate earns, by the recorded evaluations of both versions' greedy answers.

    Raises NotComparable unless both were trained for the same weights, answered the same questions with the same
    decoding, and were scored by the same reward models.
    """
    name, current_name = (f"{manifest.profile}@{manifest.version}" for manifest in (candidate, current))
    again = f"run `fgctl evaluate --record --profile {name} --profile {current_name}` and try again"
    if not candidate.same_weights_as(current):
        raise NotComparable(
            f"{name} was trained for the weights {candidate.weights or 'none'} and {current_name} for "
            f"{current.weights or 'none'}, so their rewards mean different things",
            "train it for a profile of its own",
        )
    mine, theirs = candidate.greedy_scores, current.greedy_scores
    for side, scores in ((name, mine), (current_name, theirs)):
        if not scores:
            raise NotComparable(f"{side} has no recorded scores", again)
        if not _by_question(scores):
            raise NotComparable(f"The scores of {side} were recorded without values by question", again)
    for field, what in _MUST_AGREE.items():
        if mine.get(field) != theirs.get(field):
            raise NotComparable(f"{name} and {current_name} {what}", again)
    return paired_difference(_by_question(mine), _by_question(theirs))


def objection(candidate: PolicyManifest, current: PolicyManifest) -> tuple[Difference | None, str | None]:
    """The difference in weighted reward, if known, and the sentence that refuses the candidate, if it is refused.

    A candidate is refused when the whole interval of the difference lies below zero, or when the current version has
    scores that the candidate cannot be compared with.
    """
    if not current.greedy_scores:
        return None, None
    anyway = f"promote it anyway by `fgctl policies promote {candidate.profile} {candidate.version} --force`"
    try:
        difference = reward_difference(candidate, current)
    except NotComparable as error:
        return None, f"{error}; {error.remedy}, or {anyway}."
    if difference.high >= 0:
        return difference, None
    return difference, (
        f"{candidate.profile}@{candidate.version} earns less weighted reward than {current.version}, the current "
        f"version: {difference} a question; keep that, or {anyway}."
    )


def _by_question(scores: dict[str, Any]) -> list[float]:
    values: list[float] = scores.get("per_question", {}).get("weighted_reward", [])
    return values
