import json

import pytest

from rewards.errors import FgctlError
from trainer.recipe import RECIPES, GaeRecipe, PpoRecipe, load_recipe


def test_recipes_take_dotted_overrides_and_name_what_is_wrong(tmp_path):
    recipe = load_recipe("smoke", ["ppo.learning_rate=1e-4", "ppo.rollouts=transformers"])
    assert (recipe.ppo.learning_rate, recipe.ppo.rollouts, recipe.ppo.steps) == (1e-4, "transformers", 2)
    for override, message in (
        ("ppo.steps", "no value"),
        ("ppo.steps=0", "ppo.steps"),
        ("ppo.lr=1", "ppo.lr"),
        ("ppo.steps.x=1", "not a section"),
        ("lora.rank=7", "lora.rank"),
        ("ppo.samples_per_prompt=1", "samples_per_prompt must be 2"),
        ("ppo.estimator.type=reinforce", "ppo.estimator"),
    ):
        with pytest.raises(FgctlError) as error:
            load_recipe("smoke", [override])
        assert message in str(error.value)
    (tmp_path / "mine.toml").write_text("[ppo]\nsteps = 3\n")
    assert load_recipe(str(tmp_path / "mine.toml")).ppo.steps == 3
    with pytest.raises(FgctlError, match="choose cpu, detox, gpu, paper, smoke"):
        load_recipe("none")


@pytest.mark.parametrize("name", [path.stem for path in RECIPES.glob("*.toml")])
def test_every_setting_of_every_recipe_has_a_meaning_and_can_be_overridden(name):
    recipe = load_recipe(name)
    settings = recipe.settings()
    assert {"lora.rank", "ppo.estimator.type", "ppo.kl.coefficient", "forward_tokens"} <= {row[0] for row in settings}
    for setting, value, meaning in settings:
        assert meaning, setting
        if isinstance(value, int | float | str):
            assert load_recipe(name, [f"{setting}={json.dumps(value)}"]) == recipe


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_the_parent_is_merged_and_adapts_all_linear_layers_while_policies_stay_small(name):
    recipe = load_recipe(name)
    assert recipe.sft.merge
    parent = recipe.parent_lora
    assert (parent.rank, parent.alpha, parent.top_layers) == (16, 32, None)
    assert parent.target_modules == "all-linear"
    assert (recipe.lora.rank, recipe.lora.top_layers, recipe.lora.target_modules) == (8, 15, "attention")


def test_a_recipe_that_says_nothing_of_the_parent_means_what_it_always_did(tmp_path):
    (tmp_path / "mine.toml").write_text("[lora]\nrank = 32\n[sft]\nepochs = 2\n")
    recipe = load_recipe(str(tmp_path / "mine.toml"))
    assert (recipe.sft.merge, recipe.parent_lora) == (False, recipe.lora)
    larger = load_recipe(str(tmp_path / "mine.toml"), ["sft.lora.rank=64"]).parent_lora
    assert (larger.rank, larger.alpha, larger.target_modules) == (64, 32, "all-linear")


def test_the_papers_recipe_has_the_papers_numbers():
    ppo = load_recipe("paper").ppo
    assert ppo.steps * ppo.prompts_per_step * ppo.samples_per_prompt == 80_000
    assert (ppo.gamma, ppo.clip_range, ppo.ppo_epochs, ppo.temperature, ppo.max_new_tokens) == (1, 0.2, 4, 0.7, 200)
    assert (ppo.estimator.gae_lambda, ppo.estimator.value_clip_range) == (0.95, 0.2)


def test_however_short_a_run_its_last_step_updates_the_policy():
    assert PpoRecipe(steps=2, estimator=GaeRecipe()).first_policy_step == 1
    assert PpoRecipe(steps=1, estimator=GaeRecipe()).first_policy_step == 0
    assert PpoRecipe(steps=9, estimator=GaeRecipe()).first_policy_step == 2
    assert PpoRecipe(steps=9).first_policy_step == 0
