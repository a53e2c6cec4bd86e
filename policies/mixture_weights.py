"""Geometry of the weights: which shares of the trained policies reach the wanted weights.

Weights are points; the weights that mixtures reach are the convex hull of the trained policies' weights.
"""

from collections.abc import Sequence

import numpy as np

_ROUNDING = 1e-6
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
    """Barycentric coordinates: shares [K] with which `points` [K, d] mix to `wanted` [d], or to its nearest point.

    They are not negative and sum to one. Where several mixtures reach the same point, the one of the nearest points is
    taken: the shares minimise the sum of `share * |point - wanted|^2`, which is interpolation in the simplex of a
    Delaunay triangulation (Rajan 1994). So a point of `points` is reached by itself alone, and at most d + 1 points are
    mixed.
    """
    from scipy.optimize import linprog

    reached = nearest_point(points, wanted)
    distances = ((points - reached) ** 2).sum(axis=1)
    if distances.min() < _ROUNDING**2:
        alone: np.ndarray = np.zeros(len(points))
        alone[int(distances.argmin())] = 1.0
        return alone
    solution = linprog(distances, A_eq=np.vstack([points.T, np.ones(len(points))]), b_eq=np.append(reached, 1.0))
    if solution.x is None:  # `reached` is in the hull up to rounding, and the solver tolerates more than that
        raise ArithmeticError(f"no mixture of the points reaches {reached}: {solution.message}")
    shares = np.where(solution.x < _ROUNDING, 0.0, solution.x)
    return np.asarray(shares / shares.sum())


def on_grid(values: Sequence[float], cells: int) -> list[float]:
    """The nearest values on a grid: multiples of `1 / cells` that sum to one.

    The largest remainders are rounded up; of equal ones, the first.
    """
    scaled = [value * cells for value in values]
    floors = [int(value + _ROUNDING) for value in scaled]
    missing = cells - sum(floors)
    order = sorted(range(len(values)), key=lambda i: floors[i] - scaled[i])
    for i in order[:missing]:
        floors[i] += 1
    return [floor / cells for floor in floors]
