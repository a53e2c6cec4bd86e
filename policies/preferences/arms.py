"""The weights that a person with learned preferences may be answered by, and the best of them for what they want."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

REACH = 0.2
"""The most by which learning moves a weight away from the profile's."""


@dataclass(frozen=True)
class Arms:
    """Weights within bounds around a profile's."""

    weights: np.ndarray
    """Float [n, k]; the profile's own are the first."""
    rewards: np.ndarray | None = None
    """What their answers earn on average in each category, float [n, k]; None where it was not measured."""

    def best(self, wanted: np.ndarray) -> int:
        """The arm whose answers are worth most to somebody who wants these weights [k].

        Without measured rewards it is the arm of the same weights, or of the nearest: policies are trained to earn most
        by their own weights.
        """
        if self.rewards is not None:
            return int((self.rewards @ wanted).argmax())
        return int(((self.weights - wanted) ** 2).sum(axis=1).argmin())


def weights_around(profile: Sequence[float] | np.ndarray, cells: int, reach: float = REACH) -> np.ndarray:
    """`profile` [k], then the points of a grid of `cells` steps of which no weight is further than `reach` from it.

    Float [n, k]. The grid is that of mixtures, so no more of them are ever made than it has points there.
    """
    center = np.asarray(profile, float)
    low, high = (np.clip(center + move, 0, 1) * cells for move in (-reach, reach))
    ranges = [
        range(int(np.ceil(a - 1e-9)), int(np.floor(b + 1e-9)) + 1) for a, b in zip(low[:-1], high[:-1], strict=True)
    ]
    points = ((*first, cells - sum(first)) for first in product(*ranges))
    inside = [point for point in points if low[-1] - 1e-9 <= point[-1] <= high[-1] + 1e-9]
    return np.vstack([center, np.asarray(inside, float).reshape(-1, len(center)) / cells])
