"""The plain version of a PPO step, on the real base."""

import pytest
import torch

from policies.weights import Weights
from trainer.bench.plain import PlainTrainer
from trainer.experience import evaluate_batch, make_batch
from trainer.losses import policy_loss
from trainer.policy_model import PolicyModel
from trainer.recipe import load_recipe
from trainer.rollouts.sampler import Sampled


def test_in_bfloat16_plain_and_packed_rows_differ_by_rounding_alone(base, store):
    recipe = load_recipe("smoke")
    model = PolicyModel(base, recipe.lora, store.path("sft", store.profile("sft").version), 0.7)
    parameters = model.policy_parameters()
    torch.manual_seed(0)
    with torch.no_grad():
        for p in parameters.values():
            p.add_(0.04 * torch.randn_like(p))
    texts = (" It is by the sea.", " It stands on a hill in the north of the old town.", " In the south.")
    questions = ("Where is the tower?", "Where was the first house built?")
    prompts = [model.tokenizer(text)["input_ids"] for text in questions]
    responses = [[*model.tokenizer(text)["input_ids"], model.eos] for text in texts]
    sampled = [[Sampled(ids, [0.0] * len(ids)) for ids in some] for some in (responses[:2], responses[2:])]
    batch = make_batch(prompts, sampled, model.eos)
    ((row,),) = batch.minibatches([0, 1], 1, 512)
    packed = evaluate_batch(model, batch, [row], features=False)
    plain = PlainTrainer(model, None, Weights.parse("1,1,1"), recipe, [])
    padded = plain.evaluate(batch)
    for name in ("policy", "reference", "entropy"):
        apart = (getattr(padded, name) - getattr(packed, name))[batch.mask].abs()
        assert apart.mean() < 0.05
    assert (packed.policy - packed.reference)[batch.mask].abs().mean() > 0.1

    advantages = torch.randn(batch.mask.shape)
    at = (row.samples, row.steps)
    now = row.evaluate(model, "policy", grad=True).logprobs
    policy_loss(now, packed.policy[at], advantages[at], clip_range=0.2, normaliser=len(row.samples)).loss.backward()
    wanted = torch.cat([p.grad.flatten() for p in parameters.values()])
    model.peft.zero_grad()
    plain.backward(batch, range(3), packed.policy, advantages)
    actual = torch.cat([p.grad.flatten() for p in parameters.values()])
    assert torch.cosine_similarity(actual, wanted, dim=0) > 0.99
    assert actual.norm() / wanted.norm() == pytest.approx(1, abs=0.05)
