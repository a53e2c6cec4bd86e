from math import nan
from types import SimpleNamespace

import pytest
import torch

from policies.weights import Weights
from rewards.categories import BUILT_IN
from rewards.dataset import Example
from rewards.errors import FgctlError
from rewards.scores import CategoryScores, ScoredResponse, Segment
from trainer.policy_model import PolicyModel
from trainer.ppo import PpoTrainer, rate_share, step_examples
from trainer.recipe import LoraRecipe, PpoRecipe, load_recipe
from trainer.rollouts.sampler import Sampled


@pytest.fixture
def trained(tiny, tmp_path):
    """Makes a trainer of a base, whose parent changes nothing, and what it samples; all responses are "Yes."."""

    def make(base, reward=1.0):
        fresh = PolicyModel(tiny, LoraRecipe(top_layers=2))
        fresh.save_adapter(tmp_path / "parent")
        model = PolicyModel(base, LoraRecipe(top_layers=2), tmp_path / "parent")
        tokens = [*model.tokenizer("Yes.", add_special_tokens=False)["input_ids"], model.eos]
        sampler = SimpleNamespace(
            synchronise=lambda model, step: None,
            logprobs=lambda prompt: [object()],  # which differ after every update
            sample=lambda prompts, n, *_, **__: [[Sampled(tokens, [-5.5] * len(tokens))] * n for _ in prompts],
        )
        scores = CategoryScores((Segment(0, 4, 0.5, False),), (reward,))
        scorer = SimpleNamespace(
            categories=BUILT_IN,
            score=lambda requests: [ScoredResponse(dict.fromkeys(BUILT_IN, scores))] * len(requests),
        )
        recipe = load_recipe("smoke", ["ppo.max_prompt_tokens=500", "ppo.logprob_tolerance=100"])
        examples = [Example(question=f"Is it {i}?", passages=(), answer="") for i in range(4)]
        return PpoTrainer(model, scorer, Weights.parse("1,1,1"), recipe, examples), sampler

    return make


def parameters(trainer):
    return [p.detach().clone() for p in trainer.model.policy_parameters().values()]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [("base", "The parent's log-probabilities are not finite"), ("reward", "The advantages are not finite")],
)
def test_what_is_not_finite_stops_the_run_before_it_is_learned_from(trained, tiny, poisoned, spoil, message):
    trainer, sampler = trained(poisoned) if spoil == "base" else trained(tiny, nan)
    before = parameters(trainer)
    with pytest.raises(FgctlError, match=f"{message}, so the run stops and stores no policy"):
        trainer.step(0, sampler)
    assert all(torch.equal(a, b) for a, b in zip(before, parameters(trainer), strict=True))


def test_a_sampler_whose_log_probabilities_are_not_numbers_stops_the_run(trained, tiny):
    trainer, sampler = trained(tiny)
    trainer.step(0, sampler)
    sampler.sample = lambda prompts, n, *_, **__: [[Sampled([5, 6], [nan, nan])] * n for _ in prompts]
    with pytest.raises(FgctlError, match="differ from the trainer's by nan nats"):
        trainer.step(1, sampler)


@pytest.mark.parametrize(
    ("rollouts", "other"), [("vllm", "transformers"), ("server", "transformers"), ("transformers", "vllm")]
)
def test_a_sampler_at_fault_is_to_be_replaced_by_another_one(trained, tiny, rollouts, other):
    trainer, sampler = trained(tiny)
    of_this = {"rollouts": rollouts, "logprob_tolerance": 0.1}
    trainer.recipe = trainer.recipe.model_copy(update={"ppo": trainer.recipe.ppo.model_copy(update=of_this)})
    with pytest.raises(FgctlError, match=rf"; try ppo\.rollouts={other}\.$"):
        trainer.step(0, sampler)


def test_a_gradient_of_zero_is_no_fault_of_the_sampler(trained, tiny):
    trainer, sampler = trained(tiny)  # all responses earn the same
    sampler.logprobs = lambda prompt: [-1.0]
    for step in range(2):
        assert trainer.step(step, sampler)["policy/grad_norm"] == 0


def test_a_sampler_that_keeps_the_old_weights_stops_the_run(trained, tiny):
    trainer, sampler = trained(tiny)
    sampler.logprobs = lambda prompt: [-1.0]
    trainer.step(0, sampler)
    with torch.no_grad():
        for name, parameter in trainer.model.policy_parameters().items():
            if "lora_B" in name:
                parameter.add_(1.0)
    with pytest.raises(
        FgctlError, match=r"changed the trainer's log-probabilities by \d.* and the sampler's not at all"
    ):
        trainer.step(1, sampler)


def test_the_learning_rate_warms_up_and_falls_to_its_share():
    recipe = PpoRecipe(steps=10, warmup_steps=2, decay_to=0.1)
    rates = [rate_share(step, recipe) for step in range(10)]
    assert rates[:3] == pytest.approx([1 / 3, 2 / 3, 1])
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[-1] == pytest.approx(0.1)
    assert rates[4] - rates[5] == pytest.approx(0.9 / 7)
    kept = PpoRecipe(steps=10, warmup_steps=2)
    assert [rate_share(step, kept) for step in range(2, 20)] == [1] * 18
    critic = PpoRecipe(steps=10, warmup_steps=0, decay_to=0, estimator={"type": "gae", "critic_warmup_steps": 3})
    assert [rate_share(step, critic) for step in (3, 6, 9)] == pytest.approx([1, 0.5, 0])


def test_every_epoch_asks_every_question_once_in_an_order_of_its_own():
    recipe = PpoRecipe(prompts_per_step=4)
    questions = list(range(10))
    asked = [q for step in range(5) for q in step_examples(questions, step, recipe)]
    assert sorted(asked[:10]) == sorted(asked[10:]) == questions
    assert asked[:10] != asked[10:]
    assert step_examples(questions, 3, recipe) == asked[12:16]
