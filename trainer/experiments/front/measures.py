"""How good a front is: what it dominates, how densely it is covered, and whether weights reach what they ask for.

A front is float64 [P, K]: P points' mean rewards in K categories, more being better.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from rewards.categories import BUILT_IN, Category

Matrix = NDArray[np.float64]

_MOST_SEGMENTS: Mapping[Category, int] = {"relevance": 12, "factuality": 9, "completeness": 1}
"""Segments of an answer of 200 tokens, the most that evaluations ask for. Shipped policies' answers to the held-out
questions have at most 0.057 sub-sentences and 0.043 sentences a token on average."""


def least_rewards() -> tuple[float, ...]:
    """The reference point: mean rewards by category, in its unit, of answers in which every segment is an error.

    It depends on no method and no base. A policy's means lie above it unless nothing that it says is right.
    """
    return tuple(spec.reward(1.0) * _MOST_SEGMENTS[name] / spec.unit for name, spec in BUILT_IN.items())


def hypervolume(front: Matrix, reference: Matrix) -> float:
    """The volume that the front dominates above the reference point [K], exactly (Zitzler and Thiele 1999).

    A point adds nothing unless it is better than the reference point in every category.
    """
    import moocore

    return float(moocore.hypervolume(front, ref=reference, maximise=True))


def above(front: Matrix, reference: Matrix) -> NDArray[np.bool_]:
    """bool [..., P] for points [..., P, K]: which are better than the reference point [K] in every category.

    Only these can add to the hypervolume.
    """
    return np.asarray((front > reference).all(-1), dtype=np.bool_)


def nondominated(front: Matrix) -> NDArray[np.bool_]:
    """bool [P]: which points no other one dominates."""
    import moocore

    return np.asarray(moocore.is_nondominated(front, maximise=True), dtype=np.bool_)


def sparsity(front: Matrix) -> float:
    """How far the points that are not dominated lie apart (Xu et al. 2020, PGMORL, section 3).

    The sum over categories of the squared distances of neighbours in that category, by the number of neighbours; 0 for
    a single point.
    """
    points = front[nondominated(front)]
    if len(points) < 2:
        return 0.0
    gaps = np.diff(np.sort(points, axis=0), axis=0)
    return float((gaps**2).sum() / (len(points) - 1))


def rank_agreement(asked: Matrix, measured: Matrix) -> Matrix:
    """float64 [..., K]: controllability, for each category the share of pairs of points in the order asked for.

    `asked` [P, K] are the weights and `measured` [..., P, K] the rewards. A pair counts where its weights of the
    category differ: 1 if the greater weight has the greater reward, one half for equal rewards. 1 is perfect, one half
    chance.
    """
    first, second = np.triu_indices(len(asked), 1)
    wanted = np.sign(np.round(asked[first] - asked[second], 9))
    got = np.sign(measured[..., first, :] - measured[..., second, :])
    counts = np.abs(wanted)
    agree = counts * (1 + wanted * got) / 2
    return np.asarray(agree.sum(-2) / np.maximum(1, counts.sum(-2)))
