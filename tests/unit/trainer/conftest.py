"""Base models small enough for unit tests."""

import shutil
from contextlib import nullcontext

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from policies.base import BaseModel, directory_digest, resolve_base
from trainer.policy_model import PolicyModel
from trainer.recipe import LoraRecipe

LORA = LoraRecipe(top_layers=2)


@pytest.fixture
def tiny_model(tiny):
    """Makes models whose policies differ from the base by so much and, by seed, from one another.

    In one thread: threads would only wait for each other on a model this small.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)

    def make(strength=0.5, seed=0):
        model = PolicyModel(tiny, LoraRecipe(top_layers=2))
        torch.manual_seed(seed)
        with torch.no_grad():
            for name, parameter in model.policy_parameters().items():
                if "lora_B" in name:
                    parameter.copy_(torch.randn_like(parameter) * strength)
        return model

    yield make
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def poisoned(tiny, tmp_path_factory):
    """The tiny base with one value that is not a number."""
    directory = tmp_path_factory.mktemp("poisoned")
    shutil.copytree(tiny.path, directory, dirs_exist_ok=True)
    llama = LlamaForCausalLM.from_pretrained(tiny.path)
    with torch.no_grad():
        llama.lm_head.weight[3, 5] = torch.nan
    llama.save_pretrained(directory)
    return BaseModel("poisoned", directory, directory_digest(directory))


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """A base of three narrow layers with the default base's tokenizer, and an adapter to start from."""
    path, parent = tmp_path_factory.mktemp("base"), tmp_path_factory.mktemp("parent")
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
    tokenizer = AutoTokenizer.from_pretrained(resolve_base().path)
    llama = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), initializer_range=0.3, **sizes))
    llama.bfloat16().save_pretrained(path)
    tokenizer.save_pretrained(path)
    base = BaseModel("small", path, "0")
    model = PolicyModel(base, LORA)
    _shift(model)
    model.save_adapter(parent)
    return base, parent


@pytest.fixture
def model(small):
    """Policy and reference on the small base, which differ."""
    model = PolicyModel(small[0], LORA, small[1], temperature=0.7)
    _shift(model)
    return model


@pytest.fixture
def exact_model(model, monkeypatch):
    """The same in float32, where nothing hides in rounding."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    model.peft.float()
    return model


def _shift(model):
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.policy_parameters().values():
            parameter.add_(0.1 * torch.randn_like(parameter))
