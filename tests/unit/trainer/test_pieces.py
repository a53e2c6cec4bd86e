"""The small parts of the trainer that need no model."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rewards.errors import FgctlError
from trainer.credit import at_the_end
from trainer.evaluation.report import rouge_lsum
from trainer.experience import make_batch
from trainer.packing import Group, bins, pack, split
from trainer.ppo import step_examples
from trainer.recipe import RECIPES, GaeRecipe, PpoRecipe, load_recipe
from trainer.rollouts.sampler import Sampled
from trainer.sft import batch_order, cosine_schedule
from trainer.tracking.checkpoint import claim_run, load_checkpoint, save_checkpoint
from trainer.tracking.metrics import correlation, explained_variance
from trainer.tracking.run_log import RunLog

EOS = 0


def test_packing_by_hand():
    packed = pack([Group([5, 6], [[7, 8], [9]])])
    assert packed.input_ids.tolist() == [[5, 6, 7, 8, 9]]
    assert packed.position_ids.tolist() == [[0, 1, 2, 3, 2]]
    assert packed.predicted_at.tolist() == [1, 2, 1]
    assert packed.targets.tolist() == [7, 8, 9]
    assert packed.mask[0, 0].int().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 1, 1, 0],
        [1, 1, 0, 0, 1],
    ]


@given(st.lists(st.integers(1, 50), max_size=30), st.integers(1, 80))
def test_bins_hold_every_group_once_within_the_limit(sizes, limit):
    groups = [Group([1] * size, []) for size in sizes]
    rows = bins(groups, limit)
    assert sorted(i for row in rows for i in row) == list(range(len(groups)))
    assert all(len(row) == 1 or sum(groups[i].tokens for i in row) <= limit for row in rows)


def row_tokens(row):
    return zip(row.samples.tolist(), row.steps.tolist(), strict=True)


def test_a_batch_knows_lengths_truncation_and_prompts():
    sampled = [[Sampled([4, EOS], [-1.0, -2.0]), Sampled([4, 5, 6], [-1.0] * 3)], [Sampled([], [])]]
    batch = make_batch([[1], [2, 3]], sampled, EOS)
    assert batch.lengths.tolist() == [2, 3, 0]
    assert batch.truncated.tolist() == [False, True, True]
    assert batch.prompts.tolist() == [0, 0, 1]
    assert batch.sampler_logprobs[0].tolist() == [-1.0, -2.0, 0.0]
    ((row,),) = batch.minibatches([0, 1], 1, 100)
    assert sorted(row_tokens(row)) == [
        (0, 0),
        (0, 1),
        (1, 0),
        (1, 1),
        (1, 2),
    ]


def test_minibatches_hold_every_token_once_and_no_row_without_any():
    sampled = [[Sampled([4, 5, EOS], [0.0] * 3)] * 2, [Sampled([], [])], [Sampled([6], [0.0])]]
    batch = make_batch([[1], [2, 3], [4]], sampled, EOS)
    minibatches = batch.minibatches([2, 1, 0], 3, 4)
    assert [[[g.prompt for g in row.groups] for row in rows] for rows in minibatches] == [[[[4]]], [[[1]]]]
    held = [at for rows in minibatches for row in rows for at in row_tokens(row)]
    assert sorted(held) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (3, 0)]
    assert batch.minibatches([1], 2, 4) == []


def test_what_is_paid_at_the_end_lands_on_the_last_token():
    sampled = [[Sampled([4, EOS], [0.0] * 2), Sampled([4, 5, 6], [0.0] * 3), Sampled([], [])]]
    batch = make_batch([[1]], sampled, EOS)
    assert at_the_end(torch.tensor([1.0, 2.0, 4.0]), batch.mask).tolist() == [[0, 1, 0], [0, 0, 2], [0, 0, 0]]
    assert at_the_end(batch.truncated.float(), batch.mask).tolist() == [[0, 0, 0], [0, 0, 1], [0, 0, 0]]


@given(st.lists(st.integers(), min_size=1, max_size=20), st.integers(1, 6))
def test_minibatches_cut_into_even_parts(items, parts):
    cut = split(items, parts)
    assert [x for part in cut for x in part] == items
    assert all(cut)
    assert max(map(len, cut)) - min(map(len, cut)) <= 1


def test_every_epoch_asks_every_question_once_in_an_order_of_its_own():
    recipe = PpoRecipe(prompts_per_step=4)
    questions = list(range(10))
    asked = [q for step in range(5) for q in step_examples(questions, step, recipe)]
    assert sorted(asked[:10]) == sorted(asked[10:]) == questions
    assert asked[:10] != asked[10:]
    assert step_examples(questions, 3, recipe) == asked[12:16]


def test_sft_batches_and_schedule():
    settings = load_recipe("cpu", ["sft.epochs=2", "sft.batch_size=4"]).sft
    order = batch_order(10, settings)
    assert sorted(i for batch in order[:3] for i in batch) == list(range(10))
    assert order == batch_order(10, settings)
    rates = [cosine_schedule(step, 100, 0.05) for step in range(100)]
    assert rates[4] == max(rates) == 1
    assert rates[0] == pytest.approx(0.2)
    assert rates[-1] == pytest.approx(0.1, abs=0.01)
    assert rates[4:] == sorted(rates[4:], reverse=True)


def test_correlation_and_explained_variance():
    a = torch.tensor([1.0, 2.0, 3.0])
    assert correlation(a, 2 * a) == pytest.approx(1)
    assert correlation(a, torch.ones(3)) == correlation(a[:1], a[:1]) == 0
    assert explained_variance(a, a) == 1
    assert explained_variance(torch.zeros(3), a) == 0
    assert explained_variance(a, torch.ones(3)) == 0


def test_recipes_take_dotted_overrides_and_name_what_is_wrong(tmp_path):
    recipe = load_recipe("smoke", ["ppo.learning_rate=1e-4", "ppo.rollouts=transformers"])
    assert (recipe.ppo.learning_rate, recipe.ppo.rollouts, recipe.ppo.steps) == (1e-4, "transformers", 2)
    for override, said in (
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
        assert said in str(error.value)
    (tmp_path / "mine.toml").write_text("[ppo]\nsteps = 3\n")
    assert load_recipe(str(tmp_path / "mine.toml")).ppo.steps == 3
    with pytest.raises(FgctlError, match="choose cpu, gpu, paper, smoke"):
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


def test_the_papers_recipe_has_the_papers_numbers():
    ppo = load_recipe("paper").ppo
    assert ppo.steps * ppo.prompts_per_step * ppo.samples_per_prompt == 80_000
    assert (ppo.gamma, ppo.clip_range, ppo.ppo_epochs, ppo.temperature, ppo.max_new_tokens) == (1, 0.2, 4, 0.7, 200)
    assert (ppo.estimator.gae_lambda, ppo.estimator.value_clip_range) == (0.95, 0.2)


def test_a_run_belongs_to_its_settings_and_keeps_its_checkpoint(tmp_path):
    run = tmp_path / "run"
    claim_run(run, {"weights": [1, 2]})
    claim_run(run, {"weights": [1, 2]})
    with pytest.raises(FgctlError, match="other settings"):
        claim_run(run, {"weights": [2, 1]})
    assert load_checkpoint(run) is None
    save_checkpoint(run, {"step": 3, "x": torch.ones(2)})
    (run / "checkpoint.pt.new").write_bytes(b"cut by a kill")
    assert load_checkpoint(run)["step"] == 3


def test_the_log_goes_on_where_the_checkpoint_left_off(tmp_path):
    with RunLog(tmp_path, "run", total=5, start=0) as log:
        for step in range(3):
            log.step(step, {"loss": float(step)}, "")
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "lo')
    with RunLog(tmp_path, "run", total=5, start=2) as log:
        log.step(2, {"loss": 9.0}, "")
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").open()]
    assert lines == [{"step": 0, "loss": 0.0}, {"step": 1, "loss": 1.0}, {"step": 2, "loss": 9.0}]


def test_rouge():
    assert rouge_lsum(["The tower is tall."] * 2, ["The tower is tall.", ""]) == [pytest.approx(100), 0]


def test_however_short_a_run_its_last_step_updates_the_policy():
    assert PpoRecipe(steps=2, estimator=GaeRecipe()).first_policy_step == 1
    assert PpoRecipe(steps=1, estimator=GaeRecipe()).first_policy_step == 0
    assert PpoRecipe(steps=9, estimator=GaeRecipe()).first_policy_step == 2
    assert PpoRecipe(steps=9).first_policy_step == 0
