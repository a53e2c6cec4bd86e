"""A trunk small enough to train in a unit test."""

from contextlib import nullcontext

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from policies.base import BaseModel, resolve_base
from trainer.recipe import LoraRecipe
from trainer.trunk import Trunk

LORA = LoraRecipe(top_layers=2)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A base of three narrow layers with the default base's tokenizer, and an adapter to start from."""
    path, parent = tmp_path_factory.mktemp("base"), tmp_path_factory.mktemp("parent")
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
    tokenizer = AutoTokenizer.from_pretrained(resolve_base().path)
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), initializer_range=0.3, **sizes))
    model.bfloat16().save_pretrained(path)
    tokenizer.save_pretrained(path)
    base = BaseModel("tiny", path, "0")
    trunk = Trunk(base, LORA)
    _shift(trunk)
    trunk.save_adapter(parent)
    return base, parent


@pytest.fixture
def trunk(tiny):
    """Policy and reference on the small base, which differ."""
    trunk = Trunk(tiny[0], LORA, tiny[1], temperature=0.7)
    _shift(trunk)
    return trunk


@pytest.fixture
def exact_trunk(trunk, monkeypatch):
    """The same in float32, where nothing hides in rounding."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    trunk.peft.float()
    return trunk


def _shift(trunk):
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in trunk.policy_parameters().values():
            parameter.add_(0.1 * torch.randn_like(parameter))
