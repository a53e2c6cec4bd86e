"""The plain version of a PPO step does what the trainer does."""

import pytest
import torch

from policies.weights import Weights
from rewards.dataset import SAMPLE, load_examples
from rewards.scorer import Scorer
from trainer.bench.plain import PlainTrainer, until
from trainer.experience import evaluate_batch, make_batch
from trainer.losses import policy_loss
from trainer.ppo import PpoTrainer, step_examples
from trainer.recipe import load_recipe
from trainer.rollouts.sampler import Sampled
from trainer.rollouts.transformers import TransformersSampler

PROMPTS = [[11, 12, 13], [14, 15]]
RESPONSES = [[[21, 22, 2], [23, 24, 25, 26]], [[27, 2], [28]]]
SETTINGS = ["ppo.rollouts=transformers", "ppo.max_new_tokens=6", "ppo.steps=1"]
WEIGHTS = Weights.parse("1,1,1")


@pytest.fixture
def batch():
    sampled = [[Sampled(ids, [-1.0] * len(ids)) for ids in responses] for responses in RESPONSES]
    return make_batch(PROMPTS, sampled, eos=2)


def plain(model, *overrides, forward_tokens=64):
    recipe = load_recipe("smoke", [*SETTINGS, *overrides]).model_copy(update={"forward_tokens": forward_tokens})
    return PlainTrainer(model, None, WEIGHTS, recipe, [])


@pytest.mark.parametrize("forward_tokens", [64, 8])
def test_log_probabilities_entropies_and_features_are_those_of_packed_rows(exact_model, batch, forward_tokens):
    (rows,) = batch.minibatches([0, 1], 1, 64)
    packed = evaluate_batch(exact_model, batch, rows, features=True)
    padded = plain(exact_model, "ppo.estimator.type=gae", forward_tokens=forward_tokens).evaluate(batch)
    assert not torch.allclose(packed.policy, packed.reference)
    for name in ("reference", "policy", "entropy", "features"):
        torch.testing.assert_close(getattr(padded, name), getattr(packed, name), rtol=1e-4, atol=1e-5)


def test_gradients_are_those_of_packed_rows(exact_model, batch):
    (rows,) = batch.minibatches([0, 1], 1, 64)
    old = evaluate_batch(exact_model, batch, rows, features=False).reference
    torch.manual_seed(0)
    advantages = torch.randn(batch.mask.shape)
    for row in rows:
        at = (row.samples, row.steps)
        now = row.evaluate(exact_model, "policy", grad=True).logprobs
        policy_loss(now, old[at], advantages[at], clip_range=0.2, normaliser=len(row.samples)).loss.backward()
    assert len(rows) == 1
    parameters = exact_model.policy_parameters()
    packed = {name: p.grad.clone() for name, p in parameters.items()}
    exact_model.peft.zero_grad()
    plain(exact_model).backward(batch, range(4), old, advantages)
    for name, gradient in packed.items():
        assert gradient.abs().max() > 0
        torch.testing.assert_close(parameters[name].grad, gradient, rtol=1e-3, atol=1e-6)


def test_rows_hold_every_response_once_in_order_within_the_tokens_of_a_pass(model, batch):
    rows = list(plain(model, forward_tokens=14).rows(batch, range(4)))
    assert [row.samples.tolist() for row in rows] == [[0, 1], [2, 3]]
    assert rows[0].input_ids.tolist() == [[11, 12, 13, 21, 22, 2, model.eos], [11, 12, 13, 23, 24, 25, 26]]
    assert rows[0].attention_mask.tolist() == [[1] * 6 + [0], [1] * 7]
    assert rows[0].predicted_at.tolist() == [[2, 3, 4, 5]] * 2


def test_prompts_padded_on_the_left_are_answered_as_they_are_alone(exact_model):
    version = plain(exact_model, "ppo.samples_per_prompt=2")
    exact_model.temperature = 1e-4  # all but greedy, so that what is drawn depends on the model alone
    together = version.sample(PROMPTS, seed=0)
    assert [len(samples) for samples in together] == [2, 2]
    for prompt, samples in zip(PROMPTS, together, strict=True):
        alone = TransformersSampler(exact_model).sample([prompt], 1, 6, seed=1)[0][0]
        assert [s.token_ids for s in samples] == [alone.token_ids] * 2


def test_until_the_end():
    assert until([5, 2, 2], 2) == [5, 2]
    assert until([5, 6], 2) == [5, 6]


def test_a_step_given_the_trainers_responses_ends_with_the_trainers_policy(exact_model):
    examples, recipe, scorer = load_examples(SAMPLE / "train.json"), load_recipe("smoke", SETTINGS), Scorer.load()
    before = {name: p.detach().clone() for name, p in exact_model.policy_parameters().items()}
    trainer = PpoTrainer(exact_model, scorer, WEIGHTS, recipe, examples)
    sampler = Keeping(exact_model)
    metrics = trainer.step(0, sampler)
    after = {name: p.detach().clone() for name, p in exact_model.policy_parameters().items()}
    with torch.no_grad():
        for name, p in exact_model.policy_parameters().items():
            p.copy_(before[name])
    taken = PlainTrainer(exact_model, scorer, WEIGHTS, recipe, examples).step(0, sampler.kept)
    assert taken.seconds.keys() == {"rollout", "score", "evaluate", "update"}
    assert len(taken.sampled) == len(step_examples(examples, 0, recipe.ppo))
    assert metrics["policy/grad_norm"] > 0
    # The encoder of the rewards rounds to bfloat16, otherwise in a batch than alone.
    assert taken.grad_norm == pytest.approx(metrics["policy/grad_norm"], rel=0.02)
    for name, p in exact_model.policy_parameters().items():
        moved, wanted = (p - before[name]).flatten(), (after[name] - before[name]).flatten()
        assert torch.cosine_similarity(moved, wanted, dim=0) > 0.99


class Keeping(TransformersSampler):
    def sample(self, *arguments, **options):
        self.kept = super().sample(*arguments, **options)
        return self.kept
