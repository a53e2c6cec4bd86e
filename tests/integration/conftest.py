"""The real base model, with adapters made here so that no test depends on what was trained."""

from functools import lru_cache
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from policies.base import resolve_base
from policies.manifest import Named
from policies.store import SFT, PolicyStore
from policies.weights import Weights

WEIGHTS = {"first": "1,1,2", "second": "2,1,1", "damaged": "1,2,1", "idle": "3,1,1"}


@pytest.fixture(scope="session")
def base():
    return resolve_base()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A base of three narrow layers, with the tokenizer of the embedded one."""
    path = tmp_path_factory.mktemp("tiny")
    tokenizer = AutoTokenizer.from_pretrained(resolve_base().path)
    tokenizer.save_pretrained(path)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(path)
    return resolve_base(str(path))


@lru_cache(maxsize=1)
def _model(path):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.bfloat16)


def make_adapter(base, directory, seed, strength, top_layers=15, rank=8):
    """A random adapter of the shape training makes; strength 0 leaves the base as it is."""
    from peft import LoraConfig, get_peft_model

    model = _model(base.path)
    layers = model.config.num_hidden_layers
    config = LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj"],
        layers_to_transform=list(range(layers - top_layers, layers)),
        task_type="CAUSAL_LM",
    )
    peft = get_peft_model(model, config)
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in peft.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn_like(parameter) * strength)
    peft.save_pretrained(directory)
    peft.unload()  # which leaves the model as it was
    return directory


def write_policy(store, base, profile, adapter, weights):
    return store.write(
        profile,
        adapter,
        {
            "weights": None if weights is None else Weights.parse(weights),
            "base": Named(name=base.name, digest=base.digest),
            "parent": None,
            "recipe": {},
            "data": (),
            "rewards": None,
            "steps": 0,
            "episodes": 0,
            "scores": {},
        },
    )


@pytest.fixture(scope="session")
def making():
    """What makes adapters and policies, for a store or a base of a test's own."""
    return SimpleNamespace(adapter=make_adapter, policy=write_policy)


@pytest.fixture(scope="session")
def store(base, tmp_path_factory):
    """Two policies that answer differently, one whose file is damaged, one that does nothing, and a parent."""
    root = tmp_path_factory.mktemp("store")
    store = PolicyStore(root / "policies")
    for i, (profile, weights) in enumerate(WEIGHTS.items()):
        adapter = make_adapter(base, root / profile, i, 0.0 if profile == "idle" else 0.15)
        manifest = write_policy(store, base, profile, adapter, weights)
        store.promote(profile, manifest.version)
        if profile == "damaged":
            file = store.path(profile, manifest.version) / "adapter_model.safetensors"
            file.write_bytes(file.read_bytes()[:1000])
    parent = write_policy(store, base, SFT, make_adapter(base, root / "parent", 9, 0.002), None)
    store.promote(SFT, parent.version)
    return store
