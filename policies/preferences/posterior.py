"""A Bayesian model of the weights that a person wants, on a grid of the simplex around the weights of a profile.

A person with weights `w` values an answer at `w . r`, where `r` holds its reward in each category as PPO adds them up.
They prefer answer a to b with probability `sigmoid(s w . (r_a - r_b))` (Bradley and Terry 1952), and give a thumb up
with probability `sigmoid(s w . (r - mean r) + c)`, whose unknown bar `c` is summed over. `s` is how sure people are.

The weights are one of finitely many candidates, so the posterior is exact. Answering as if weights drawn from it were
what the person wants (Thompson 1933) explores as long as it is wide, and settles as it narrows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from policies.preferences.arms import REACH

SENSITIVITY = 1.0
"""`s`: 1 for people who prefer an answer whose reward is higher by 1 in 73 of 100 cases."""
BARS = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)
"""Values of `c`: from people who are rarely content to people who nearly always are."""

Rewards = Sequence[float] | np.ndarray
"""An answer's reward in each category, in their order and unit."""


@dataclass(frozen=True)
class Feedback:
    """What a person said. Rewards are in the categories' order and unit, float [n, k]."""

    thumbs: np.ndarray
    """The rewards of the answers that got one."""
    up: np.ndarray
    """Whether it was up: bool [n]."""
    better: np.ndarray
    """The rewards of the answers that were preferred."""
    worse: np.ndarray
    """The rewards of those that they were preferred to."""
    ties: np.ndarray
    """The difference in rewards of answers that were equally good."""

    @classmethod
    def of(
        cls,
        categories: int,
        thumbs: Sequence[tuple[Rewards, bool]] = (),
        choices: Sequence[tuple[Rewards, Rewards]] = (),
        ties: Sequence[tuple[Rewards, Rewards]] = (),
    ) -> "Feedback":
        """Thumbs as (rewards, up), choices as (better, worse), and pairs that were equally good."""

        def rows(values: Sequence[Rewards]) -> np.ndarray:
            return np.asarray(values, float).reshape(len(values), categories)

        return cls(
            rows([rewards for rewards, _ in thumbs]),
            np.asarray([up for _, up in thumbs], bool),
            rows([better for better, _ in choices]),
            rows([worse for _, worse in choices]),
            rows([a for a, _ in ties]) - rows([b for _, b in ties]),
        )

    def __len__(self) -> int:
        return len(self.thumbs) + len(self.better) + len(self.ties)


@dataclass(frozen=True)
class Posterior:
    """How likely each candidate is what the person wants."""

    candidates: np.ndarray
    """Weights, float [n, k]; the profile's own are the first."""
    probabilities: np.ndarray
    """Float [n]."""

    @property
    def mean(self) -> np.ndarray:
        """The expected weights, float [k]."""
        return np.asarray(self.probabilities @ self.candidates)

    def draw(self, seed: int) -> np.ndarray:
        """A candidate drawn by its probability, float [k]; the same for the same seed."""
        rng = np.random.default_rng(seed)
        return np.asarray(self.candidates[rng.choice(len(self.candidates), p=self.probabilities)])


def posterior(
    candidates: np.ndarray, feedback: Feedback, *, reach: float = REACH, sensitivity: float = SENSITIVITY
) -> Posterior:
    """The posterior over `candidates` [n, k], of which the first is the profile, where the prior has its peak.

    The prior is normal in the distance from the profile, with `reach / 2` as its standard deviation.
    """
    distances = np.linalg.norm(candidates - candidates[0], axis=1)
    logs = -0.5 * (distances / (reach / 2)) ** 2
    if len(feedback.thumbs):
        values = sensitivity * candidates @ (feedback.thumbs - feedback.thumbs.mean(axis=0)).T
        signs = np.where(feedback.up, 1.0, -1.0)
        by_bar = [_log_sigmoid(signs * (values + bar)).sum(axis=1) for bar in BARS]
        logs = logs + np.logaddexp.reduce(by_bar, axis=0) - np.log(len(BARS))
    logs = logs + _log_sigmoid(sensitivity * candidates @ (feedback.better - feedback.worse).T).sum(axis=1)
    equal = sensitivity * candidates @ feedback.ties.T
    logs = logs + (_log_sigmoid(equal) + _log_sigmoid(-equal)).sum(axis=1)
    weights = np.exp(logs - logs.max())
    return Posterior(candidates, weights / weights.sum())


def _log_sigmoid(values: np.ndarray) -> np.ndarray:
    return np.asarray(-np.logaddexp(0.0, -values))
