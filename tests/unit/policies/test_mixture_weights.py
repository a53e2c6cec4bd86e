import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from policies.mixture_weights import barycentric, nearest_point, on_grid


def simplex(rows=None):
    """Points whose coordinates are not negative and sum to one: [rows, 3], or [3]."""
    shape = 3 if rows is None else (rows, 3)
    values = arrays(np.float64, shape, elements=st.floats(0.01, 1))
    return values.map(lambda v: v / v.sum(axis=-1, keepdims=True))


TRIANGLE = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])


def test_hand_computed_shares():
    # The centre of the triangle, the middle of an edge, and a point over an edge, which is served by its foot.
    assert barycentric(TRIANGLE, np.full(3, 1 / 3)) == pytest.approx([1 / 3] * 3)
    assert barycentric(TRIANGLE, np.array([0.45, 0.45, 0.1])) == pytest.approx([0.5, 0.5, 0])
    assert barycentric(TRIANGLE, np.array([0.5, 0.5, 0.0])) == pytest.approx([0.5, 0.5, 0])
    assert barycentric(TRIANGLE, np.array([1.0, 0.0, 0.0])) == pytest.approx([1, 0, 0])


def test_a_point_of_several_mixtures_is_reached_by_the_nearest_anchors():
    square = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.5, 0.5]])
    assert barycentric(square, np.array([0.5, 0.5])) == pytest.approx([0, 0, 0, 0, 1])
    assert barycentric(square, np.array([0.5, 0.25])) == pytest.approx([0.25, 0.25, 0, 0, 0.5])


@settings(deadline=None)
@given(simplex(5), simplex())
def test_shares_are_a_mixture_that_reaches_the_nearest_point(points, wanted):
    shares = barycentric(points, wanted)
    assert shares.min() >= 0
    assert shares.sum() == pytest.approx(1)
    assert np.count_nonzero(shares) <= 3
    reached = nearest_point(points, wanted)
    assert shares @ points == pytest.approx(reached, abs=1e-5)
    # No point of the hull is nearer: the hull lies beyond the plane through the reached point, square to the way there.
    assert ((points - reached) @ (wanted - reached)).max() < 1e-7


@settings(deadline=None)
@given(simplex(4), st.integers(0, 3))
def test_an_anchor_is_reached_by_itself_alone(points, which):
    shares = barycentric(points, points[which])
    assert points[int(shares.argmax())] == pytest.approx(points[which], abs=1e-5)
    assert shares.max() == 1


@settings(deadline=None)
@given(simplex(3), simplex())
def test_a_single_line_and_a_single_point_are_hulls_too(points, wanted):
    line = np.array([points[0], (points[0] + points[1]) / 2, points[1]])
    shares = barycentric(line, wanted)
    assert shares @ line == pytest.approx(nearest_point(line, wanted), abs=1e-5)
    assert barycentric(points[:1], wanted) == pytest.approx([1])


@given(simplex(), st.integers(1, 100))
def test_the_grid_is_near_and_sums_to_one(weights, cells):
    snapped = on_grid(weights.tolist(), cells)
    assert sum(snapped) == pytest.approx(1)
    assert max(abs(a - b) for a, b in zip(snapped, weights, strict=True)) < 1 / cells
    assert all(round(value * cells) == pytest.approx(value * cells) for value in snapped)
    assert on_grid(snapped, cells) == snapped
