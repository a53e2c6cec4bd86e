"""Where wanted weights lie among those that policies were trained for."""

from collections.abc import Sequence

import numpy as np

_NOTHING = 1e-6
"""Shares below this are rounding."""


def nearest_point(points: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The point of the convex hull of `points` [K, d] that is nearest to `wanted` [d]: float64 [d].

    The least-norm point of a polytope as non-negative least squares (Lawson and Hanson 1974, chapter 23): with the
    points relative to `wanted` as columns of A, `min |A l|^2 + (1 - sum l)^2` over `l >= 0` has the direction of the
    shares that minimise `|A l|` among those that sum to one.
    """
    from scipy.optimize import nnls

    relative = (points - wanted).T
    shares, _ = nnls(np.vstack([relative, np.ones(len(points))]), np.append(np.zeros(len(wanted)), 1.0))
    return np.asarray(shares @ points / shares.sum())


def barycentric(points: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Shares [K], not negative and summing to one, with which `points` [K, d] mix to `wanted` [d] or its nearest.

    Where several mixtures reach it, that of the nearest points is taken: the shares minimise the sum of
    `share * |point - wanted|^2`, which is interpolation in the simplex of a Delaunay triangulation (Rajan 1994). So a
    point of `points` is reached by itself alone, and no more than d + 1 of them are ever mixed.
    """
    from scipy.optimize import linprog

    reached = nearest_point(points, wanted)
    distances = ((points - reached) ** 2).sum(axis=1)
    if distances.min() < _NOTHING**2:
        alone: np.ndarray = np.zeros(len(points))
        alone[int(distances.argmin())] = 1.0
        return alone
    found = linprog(distances, A_eq=np.vstack([points.T, np.ones(len(points))]), b_eq=np.append(reached, 1.0))
    if found.x is None:  # `reached` is of the hull up to rounding, which the solver's own tolerance is wider than
        raise ArithmeticError(f"no mixture of the points reaches {reached}: {found.message}")
    shares = np.where(found.x < _NOTHING, 0.0, found.x)
    return np.asarray(shares / shares.sum())


def on_grid(values: Sequence[float], cells: int) -> list[float]:
    """The nearest values, summing to one, that are multiples of `1 / cells`.

    Largest remainders are rounded up, the first where they are equal.
    """
    scaled = [value * cells for value in values]
    floors = [int(value + _NOTHING) for value in scaled]
    missing = cells - sum(floors)
    order = sorted(range(len(values)), key=lambda i: floors[i] - scaled[i])
    for i in order[:missing]:
        floors[i] += 1
    return [floor / cells for floor in floors]
