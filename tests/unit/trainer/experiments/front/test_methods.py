"""Which policies are trained, and how much each counts for some weights."""

import numpy as np
import pytest

from policies.weights import Weights
from rewards.errors import FgctlError
from trainer.experiments.front.methods import circulant, lattice, methods

POINTS = lattice(3)


def method(family, betas=(0.7,)):
    (made,) = methods([family], POINTS, betas)
    return made


def reached(made, weights):
    """The weights that the merged trainings add up to."""
    by_name = {arm.name: arm.weights for arm in made.arms}
    total = dict.fromkeys(weights.as_dict(), 0.0)
    for name, share in made.coefficients(weights).items():
        for category, value in by_name[name].as_dict().items():
            total[category] += share * value
    return total


def test_the_points_cover_the_simplex_with_its_corners():
    assert len(POINTS) == 10
    assert [p.as_dict()["relevance"] for p in POINTS[:2]] == [1, pytest.approx(2 / 3)]
    assert Weights.parse("0,0,1") in POINTS
    assert [len(lattice(n)) for n in (1, 2, 4)] == [3, 6, 15]


def test_a_policy_of_its_own_is_trained_for_each_point():
    made = method("morlhf")
    assert [arm.weights for arm in made.arms] == POINTS
    assert [made.coefficients(point) for point in POINTS] == [{arm.name: 1.0} for arm in made.arms]


def test_soups_merge_the_corners_by_the_weights_themselves():
    made = method("soups")
    assert [max(arm.weights.as_dict().values()) for arm in made.arms] == [1, 1, 1]
    assert made.coefficients(Weights.parse("0.5,0.3,0.2")) == pytest.approx(
        {"soups-relevance": 0.5, "soups-factuality": 0.3, "soups-completeness": 0.2}
    )
    assert made.coefficients(Weights.parse("0,1,0")) == {"soups-factuality": 1}


@pytest.mark.parametrize("beta", [0.6, 0.7, 0.8])
def test_backbones_are_a_circulant_matrix_and_coefficients_its_inverse(beta):
    made = method("bone-soups", (beta,))
    assert made.name == f"bone-soups-{beta}"
    rows = np.array([list(arm.weights.as_dict().values()) for arm in made.arms])
    assert rows == pytest.approx(circulant(beta))
    assert rows.sum(0) == pytest.approx([1, 1, 1])
    assert (rows == rows.T).all()
    for point in POINTS:
        assert reached(made, point) == pytest.approx(point.as_dict())
        assert sum(made.coefficients(point).values()) == pytest.approx(1)
    corner = made.coefficients(Weights.parse("1,0,0")).values()
    assert (min(corner) < 0, max(corner) > 1) == (True, True)  # beyond the backbones
    thirds = made.coefficients(Weights.parse("1,1,1")).values()
    assert list(thirds) == pytest.approx([1 / 3] * 3)


def test_mixtures_stay_within_their_anchors_and_take_the_nearest_weights():
    made = method("mixtures")
    inside = Weights.parse("0.5,0.3,0.2")
    assert reached(made, inside) == pytest.approx(inside.as_dict())
    assert made.coefficients(Weights.parse("1,0,0")) == {"mixtures-relevance": pytest.approx(1)}
    assert all(share > 0 for point in POINTS for share in made.coefficients(point).values())


def test_families_are_known_and_betas_tell_the_categories_apart():
    assert [m.name for m in methods(["bone-soups", "bone-soups"], POINTS, (0.6, 0.8, 0.6))] == [
        "bone-soups-0.6", "bone-soups-0.8",
    ]  # fmt: skip
    with pytest.raises(FgctlError, match="no method 'stew'; choose morlhf, mixtures, soups, bone-soups"):
        methods(["stew"], POINTS, ())
    for beta in (0.2, 1 / 3, 1.0):
        with pytest.raises(FgctlError, match=r"choose one above 0\.33 and below 1"):
            circulant(beta)


@pytest.mark.parametrize("beta", [0.6, 0.7, 0.8])
def test_a_backbones_own_weights_get_the_backbone_itself(beta):
    (method,) = methods(["bone-soups"], lattice(1), [beta])
    for arm in method.arms:
        assert method.coefficients(arm.weights) == {arm.name: 1.0}
