import pytest

from rewards.errors import FgctlError
from rewards.features.extractor import RESPONSE_GROUPS, SEGMENT_FEATURES, SEGMENT_GROUPS
from rewards.models.recipe import load_recipe, recipe_names


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_loads_and_names_features_that_exist(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert set(recipe.relevance.used(SEGMENT_GROUPS)) <= set(SEGMENT_FEATURES)
    assert recipe.completeness.used(RESPONSE_GROUPS)


def test_what_is_wrong_with_a_recipe_is_named(tmp_path):
    with pytest.raises(FgctlError, match="choose one of alignment, annotations"):
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
