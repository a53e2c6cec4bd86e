import numpy as np
import pytest

from rewards.errors import FgctlError
from rewards.features.extractor import RESPONSE_GROUPS, SEGMENT_FEATURES, SEGMENT_GROUPS
from rewards.heads.linear import fit_bradley_terry, fit_logistic
from rewards.models.recipe import load_recipe, recipe_names


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_loads_and_names_features_that_exist(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert set(recipe.relevance.used(SEGMENT_GROUPS)) <= set(SEGMENT_FEATURES)
    assert recipe.completeness.used(RESPONSE_GROUPS)


def test_what_is_wrong_with_a_recipe_is_named(tmp_path):
    with pytest.raises(FgctlError, match="name one of alignment, best"):
        load_recipe("nothing")
    file = tmp_path / "mine.toml"
    file.write_text("description = 1 2")
    with pytest.raises(FgctlError, match="not TOML"):
        load_recipe(str(file))
    file.write_text('description = "mine"\n')
    with pytest.raises(FgctlError, match="relevance"):
        load_recipe(str(file))
    heads = "".join(
        f'[{h}]\ngroups = ["form"]\nstrength = 1\n'
        for h in ("relevance", "factuality", "missing", "completeness", "preference")
    )
    file.write_text('description = "mine"\n' + heads)
    with pytest.raises(FgctlError, match="relevance has no features 'form'"):
        load_recipe(str(file))


def test_unused_features_weigh_nothing():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3))
    head = fit_logistic(x, x[:, 0] + x[:, 2] > 0, ["a", "b", "c"], 1.0, used=["a", "b"])
    assert head.weight[2] == 0
    assert head.weight[0] > 1
    pairs = fit_bradley_terry(x, np.arange(0, 100), np.arange(100, 200), ["a", "b", "c"], 1.0, used=["c"])
    assert pairs.weight[:2] == (0, 0)


def test_a_row_of_weight_two_counts_like_two_rows():
    x = np.array([[0.0], [1.0], [2.0], [3.0]])
    y = np.array([False, True, False, True])
    twice = fit_logistic(x, y, ["a"], 1.0, weight=np.array([1.0, 1.0, 1.0, 2.0]))
    same = fit_logistic(np.vstack([x, x[3:]]), np.append(y, True), ["a"], 1.0)
    plain = fit_logistic(x, y, ["a"], 1.0)
    assert twice.weight == pytest.approx(same.weight)
    assert twice.weight[0] > plain.weight[0]
