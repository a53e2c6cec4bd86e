"""Ways to a policy for any weights: a training for each (MORLHF), or a few trainings that are merged.

- `morlhf`: a policy is trained for each point.
- `mixtures`: what a service does for `?weights=`: anchors near the corners, mixed by barycentric coordinates. Weights
  outside the anchors' hull get the nearest in it (policies.mixing).
- `soups`: a policy for each category alone, merged by the weights themselves (Rame et al. 2023, "Rewarded soups",
  arXiv 2306.04488).
- `bone-soups-B`: the backbones are trained for the rows of a symmetric circulant matrix with `B` on the diagonal and
  the rest shared evenly. The weights are written in terms of these rows, `coefficients = weights . matrix^-1`, which
  sum to 1 and may be negative (Xie et al. 2025, "Bone Soups", arXiv 2502.10762). For two objectives these are the
  coefficients of the authors' code (github.com/andyclsr/BoneSoups, ppo/BoneSoups.py). It then extrapolates: it
  multiplies each objective's coefficients by a factor of 1.1 to 2, the best of five on validation questions, and takes
  the parent times what is left to 1. Here the factor is 1, as no other method chooses anything on validation questions,
  and each of the authors' values of B, 0.6, 0.7 and 0.8, is a method of its own.

Every method spends the same number of episodes in all, divided evenly between its trainings.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from policies.mixture_weights import barycentric
from policies.weights import Weights
from rewards.categories import BUILT_IN
from rewards.errors import FgctlError
from trainer.experiments.arms import Arm

MORLHF, MIXTURES, SOUPS, BONE_SOUPS = FAMILIES = ("morlhf", "mixtures", "soups", "bone-soups")
NEAR = 0.7
"""The weight of an anchor's own category; the others share the rest."""
_CATEGORIES = tuple(BUILT_IN)
_ROUNDING = 1e-9

Matrix = np.ndarray


@dataclass(frozen=True)
class Method:
    """A way to a policy for any weights."""

    name: str
    arms: tuple[Arm, ...]
    """What it trains."""
    coefficients: Callable[[Weights], dict[str, float]]
    """How much each arm counts in the policy for some weights, by name; those that do not count are left out."""


def lattice(divisions: int) -> list[Weights]:
    """The weights of a front's points: all multiples of `1 / divisions` that sum to one, corners included."""
    points = [
        (i, j, divisions - i - j) for i in range(divisions, -1, -1) for j in range(divisions - i, -1, -1)
    ]  # fmt: skip
    return [_weights(point) for point in points]


def methods(families: Sequence[str], points: Sequence[Weights], betas: Sequence[float]) -> list[Method]:
    """The methods of some families, for a front's points. Raises FgctlError for an unknown family or a wrong beta."""
    made: list[Method] = []
    for family in dict.fromkeys(families):
        if family == MORLHF:
            made.append(_morlhf(points))
        elif family == MIXTURES:
            made.append(_mixtures())
        elif family == SOUPS:
            made.append(_merged(SOUPS, np.eye(len(_CATEGORIES))))
        elif family == BONE_SOUPS:
            made += [_merged(f"{BONE_SOUPS}-{beta:g}", circulant(beta)) for beta in dict.fromkeys(betas)]
        else:
            raise FgctlError(f"There is no method {family!r}; choose {', '.join(FAMILIES)}.")
    return made


def circulant(beta: float) -> Matrix:
    """float64 [categories, categories]: `beta` on the diagonal, the rest of each row shared by the other places.

    Raises FgctlError for a beta with which the rows do not tell the categories apart.
    """
    size = len(_CATEGORIES)
    if not 1 / size < beta < 1:
        raise FgctlError(f"beta is {beta:g}; choose one above {1 / size:.2f} and below 1, such as 0.7.")
    rest = (1 - beta) / (size - 1)
    return np.full((size, size), rest) + (beta - rest) * np.eye(size)


def _morlhf(points: Sequence[Weights]) -> Method:
    arms = tuple(Arm(f"{MORLHF}-{i}", weights) for i, weights in enumerate(points))

    def nearest(weights: Weights) -> dict[str, float]:
        return {next(arm.name for arm in arms if arm.weights.same_as(weights)): 1.0}

    return Method(MORLHF, arms, nearest)


def _mixtures() -> Method:
    rows = circulant(NEAR)
    arms = _arms(MIXTURES, rows)

    def shares(weights: Weights) -> dict[str, float]:
        return _counting(arms, barycentric(rows, _vector(weights)))

    return Method(MIXTURES, arms, shares)


def _merged(name: str, rows: Matrix) -> Method:
    arms, inverse = _arms(name, rows), np.linalg.inv(rows)

    def solution(weights: Weights) -> dict[str, float]:
        return _counting(arms, _vector(weights) @ inverse)

    return Method(name, arms, solution)


def _arms(name: str, rows: Matrix) -> tuple[Arm, ...]:
    return tuple(
        Arm(f"{name.replace('.', '-')}-{category}", _weights(row))
        for category, row in zip(_CATEGORIES, rows, strict=True)
    )


def _counting(arms: Sequence[Arm], values: Matrix) -> dict[str, float]:
    """The coefficients that count, which sum to 1; an arm alone has exactly 1, and is then taken as it is."""
    counting = {arm.name: float(value) for arm, value in zip(arms, values, strict=True) if abs(value) > _ROUNDING}
    return counting if len(counting) > 1 else dict.fromkeys(counting, 1.0)


def _weights(row: Sequence[float] | Matrix) -> Weights:
    return Weights({name: float(value) for name, value in zip(_CATEGORIES, row, strict=True)})


def _vector(weights: Weights) -> Matrix:
    return np.array([weights[name] for name in _CATEGORIES])
