"""Whether a policy earns less than another: the paired difference of their weighted rewards, question by question."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from policies.manifest import PolicyManifest

_RESAMPLES = 10_000
_ALIKE = {
    "questions": "answered different questions",
    "rewards": "were judged by different reward models",
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
    """Two evaluations whose rewards mean different things; says why, without a full stop."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.remedy = remedy
        """What makes the candidate comparable, as an imperative."""


def paired_difference(candidate: Sequence[float], current: Sequence[float]) -> Difference:
    """The mean of `candidate - current` over Q questions, with the percentile interval of the paired bootstrap.

    The same questions are drawn for both (Efron 1979; Koehn 2004), by a fixed seed.
    """
    apart = np.asarray(candidate, dtype=np.float64) - np.asarray(current, dtype=np.float64)
    drawn = np.random.default_rng(0).multinomial(len(apart), np.full(len(apart), 1 / len(apart)), size=_RESAMPLES)
    low, high = np.quantile(drawn @ apart / len(apart), [0.025, 0.975])
    return Difference(difference=float(apart.mean()), low=float(low), high=float(high))


def reward_difference(candidate: PolicyManifest, current: PolicyManifest) -> Difference:
    """How much more weighted reward the candidate earns by the recorded evaluations of both, by greedy answers.

    Raises NotComparable unless the same reward models judged both on the same questions, sampled alike, and the two
    were trained for the same weights.
    """
    one, other = (f"{manifest.profile}@{manifest.version}" for manifest in (candidate, current))
    again = f"run `fgctl evaluate --record --profile {one} --profile {other}` and try again"
    if not candidate.same_weights_as(current):
        raise NotComparable(
            f"{one} was trained for the weights {candidate.weights or 'none'} and {other} for "
            f"{current.weights or 'none'}, so their rewards mean different things",
            "train it under a profile of its own",
        )
    mine, theirs = candidate.greedy_scores, current.greedy_scores
    for name, scores in ((one, mine), (other, theirs)):
        if not scores:
            raise NotComparable(f"{name} has no recorded scores", again)
        if not _by_question(scores):
            raise NotComparable(f"The scores of {name} were recorded without values by question", again)
    for field, what in _ALIKE.items():
        if mine.get(field) != theirs.get(field):
            raise NotComparable(f"{one} and {other} {what}", again)
    return paired_difference(_by_question(mine), _by_question(theirs))


def objection(candidate: PolicyManifest, current: PolicyManifest) -> tuple[Difference | None, str | None]:
    """The difference in weighted reward, where it is known, and the sentence that refuses the candidate, if any.

    A candidate is refused when the whole interval of the difference lies below zero, and when it cannot be compared
    with a current version that has scores.
    """
    if not current.greedy_scores:
        return None, None
    anyway = f"promote it all the same by `fgctl policies promote {candidate.profile} {candidate.version} --force`"
    try:
        found = reward_difference(candidate, current)
    except NotComparable as error:
        return None, f"{error}; {error.remedy}, or {anyway}."
    if found.high >= 0:
        return found, None
    return found, (
        f"{candidate.profile}@{candidate.version} earns less weighted reward than {current.version}, the current "
        f"version: {found} a question; keep that, or {anyway}."
    )


def _by_question(scores: dict[str, Any]) -> list[float]:
    values: list[float] = scores.get("per_question", {}).get("weighted_reward", [])
    return values
