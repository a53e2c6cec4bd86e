"""Steps whose responses are sampled while the step before is learned from."""

import pytest
import torch

from policies.weights import Weights
from rewards.dataset import SAMPLE, load_examples
from rewards.scorer import Scorer
from trainer.policy_model import PolicyModel
from trainer.ppo import PpoTrainer
from trainer.processes import Processes
from trainer.recipe import PpoRecipe, load_recipe
from trainer.rollouts.ahead import Ahead, importance_weights
from trainer.rollouts.sampler import Sampled
from trainer.rollouts.transformers import TransformersSampler

CLOCK = ("seconds/", "episodes_per_minute")
SETTINGS = (
    "ppo.max_new_tokens=12", "ppo.warmup_steps=0", "ppo.learning_rate=0.02",
    "ppo.rollouts=server", 'ppo.rollout_servers=["http://unused:8000"]',
)  # fmt: skip


@pytest.fixture(scope="module")
def scorer():
    return Scorer.load()


@pytest.fixture
def begun(small, scorer):
    """Makes a trainer of a staleness, and the sampler that its steps use: real, in this process."""

    def make(staleness, *settings):
        recipe = load_recipe("smoke", [*SETTINGS, f"ppo.staleness={staleness}", *settings])
        model = PolicyModel(small[0], recipe.lora, small[1], 0.7, dtype=torch.float32)
        examples = load_examples(SAMPLE / "train.json")
        return PpoTrainer(model, scorer, Weights.parse("1,1,1"), recipe, examples), TransformersSampler(model)

    return make


def metrics(trainer, sampler, steps):
    taken = [trainer.step(step, sampler) for step in steps]
    return [{name: value for name, value in step.items() if not name.startswith(CLOCK)} for step in taken]


def test_a_step_learns_from_what_the_policy_before_the_last_update_said(begun):
    trainer, sampler = begun(1)
    first, second, third = metrics(trainer, sampler, range(3))
    assert first["sampler/logprob_gap"] < 1e-3
    assert "sampler/importance_weight" not in first
    for late in (second, third):
        assert late["sampler/logprob_gap"] > 0.01
        assert late["sampler/importance_weight"] == pytest.approx(1, abs=0.5)


def test_the_first_step_is_that_of_a_run_without_staleness(begun):
    ahead, on_policy = (metrics(*begun(staleness), range(1)) for staleness in (1, 0))
    assert ahead == on_policy


def test_a_resumed_run_is_an_uninterrupted_one(begun):
    whole, sampler = begun(1)
    uninterrupted = metrics(whole, sampler, range(3))
    stopped, sampler = begun(1)
    metrics(stopped, sampler, range(2))
    resumed, sampler = begun(1)
    assert resumed.restore(stopped.state(2)) == 2
    assert metrics(resumed, sampler, range(2, 3)) == uninterrupted[2:]


def test_what_sampling_raises_ends_the_step(begun):
    trainer, sampler = begun(1)
    answered = iter([sampler.sample])

    def once(*arguments, **options):
        for sample in answered:
            return sample(*arguments, **options)
        raise ValueError("no server answers")

    sampler.sample = once
    with pytest.raises(ValueError, match="no server answers"):
        trainer.step(0, sampler)


def test_a_checkpoint_holds_what_was_sampled_ahead():
    ahead = Ahead(Processes())
    assert (ahead.state(), ahead.take()) == (None, None)
    ahead.begin(lambda: {0: [Sampled([5, 6], [-0.5, -1.0])], 1: [Sampled([], [])]})
    ahead.finish()
    state = ahead.state()
    assert state == {0: [([5, 6], [-0.5, -1.0])], 1: [([], [])]}
    other = Ahead(Processes())
    other.restore(state)
    assert other.take() == ahead.take() == {0: [Sampled([5, 6], [-0.5, -1.0])], 1: [Sampled([], [])]}
    assert other.take() is None


def test_importance_weights_by_hand():
    policy, sampler = torch.tensor([[-1.0, -1.0, -1.0]]), torch.tensor([[-1.0, -2.0, -0.5]])
    assert importance_weights(policy, sampler, 2.0).tolist() == [[1.0, 2.0, pytest.approx(0.60653, abs=1e-5)]]


def test_only_servers_sample_ahead():
    with pytest.raises(ValueError, match="staleness=1 needs rollouts=server"):
        PpoRecipe(staleness=1)
