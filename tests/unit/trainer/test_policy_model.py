"""A policy without a parent's adapter: a new one on a base or trunk, whose reference is that model itself."""

import pytest
import torch
from peft import AutoPeftModelForCausalLM
from transformers import AutoModelForCausalLM

from trainer.packing import Group, pack
from trainer.policy_model import PolicyModel
from trainer.recipe import LoraRecipe

ROW = pack([Group([5, 6, 7], [[20, 21, 22], [23]]), Group([8, 9], [[24, 25]])])


@pytest.fixture
def fresh(small):
    return PolicyModel(small[0], LoraRecipe(top_layers=2), dtype=torch.float32)


def change(model):
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in model.policy_parameters().values():
            parameter.add_(0.2 * torch.randn_like(parameter))


def test_policy_and_reference_are_one_before_the_first_update(fresh):
    reference = fresh.evaluate(ROW, "reference", features=True)
    policy = fresh.evaluate(ROW, features=True)
    assert torch.equal(reference.logprobs, policy.logprobs)
    assert torch.equal(reference.features, policy.features)


def test_the_reference_stays_the_model_itself_while_the_policy_changes(small, fresh):
    before = fresh.evaluate(ROW, "reference").logprobs
    change(fresh)
    policy = fresh.evaluate(ROW, grad=True)
    policy.logprobs.sum().backward()
    gradients = {name for name, p in fresh.peft.named_parameters() if p.grad is not None}
    assert gradients == fresh.policy_parameters().keys()
    assert not torch.allclose(policy.logprobs, before, atol=0.01)
    assert torch.equal(fresh.evaluate(ROW, "reference").logprobs, before)
    assert torch.equal(fresh.evaluate(ROW, "reference", below=policy.below).logprobs, before)
    assert torch.equal(fresh.evaluate(ROW).logprobs, policy.logprobs.detach())
    plain = AutoModelForCausalLM.from_pretrained(small[0].path, dtype=torch.float32)
    out = plain(ROW.input_ids, position_ids=ROW.position_ids, attention_mask=ROW.mask[None])
    logits = out.logits[0, ROW.predicted_at]
    expected = logits.log_softmax(-1).gather(-1, ROW.targets[:, None])[:, 0]
    torch.testing.assert_close(before, expected.detach(), rtol=1e-4, atol=1e-4)


def test_the_base_alone_is_neither_policy_nor_parent(small, exact_model, fresh):
    exact_model.temperature = 1.0
    alone = exact_model.evaluate(ROW, None).logprobs
    torch.testing.assert_close(alone, fresh.evaluate(ROW, None).logprobs)
    for adapter in ("policy", "reference"):
        assert not torch.allclose(exact_model.evaluate(ROW, adapter).logprobs, alone, atol=0.01)


def test_a_saved_adapter_names_the_base_that_peft_loads_it_on(small, fresh, tmp_path):
    change(fresh)
    fresh.save_adapter(tmp_path)
    loaded = AutoPeftModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    tokens = torch.tensor([[5, 6, 7, 20]])
    expected = fresh.peft(input_ids=tokens).logits
    torch.testing.assert_close(loaded(input_ids=tokens).logits, expected, rtol=0.05, atol=0.05)
    assert loaded.peft_config["default"].base_model_name_or_path == str(small[0].path)
