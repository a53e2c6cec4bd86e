import pytest
import torch

from policies.manifest import Versioned
from policies.names import SFT
from policies.store import ADAPTER
from policies.trunk import trunk_name
from rewards.dataset import file_digest

WEIGHTS = "0.3,0.5,0.2"


@pytest.fixture
def logprobs():
    """The log-probabilities of every token after some fixed ones."""

    def measure(model):
        with torch.inference_mode():
            return model.eval()(torch.arange(40)[None]).logits.log_softmax(-1)

    return measure


@pytest.fixture
def peft_adapter(tiny, tmp_path):
    """Makes an adapter of the small base by plain PEFT, as another trainer saves it, and its directory."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    def make(name="elsewhere", seed=5, model=None, **config):
        base = AutoModelForCausalLM.from_pretrained(model or tiny.path, dtype=torch.float32)
        settings = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "down_proj"], "task_type": "CAUSAL_LM"}
        peft = get_peft_model(base, LoraConfig(**(settings | config)))
        torch.manual_seed(seed)
        with torch.no_grad():
            for parameter_name, parameter in peft.named_parameters():
                if "lora_B" in parameter_name:
                    parameter.copy_(torch.randn_like(parameter) * 0.3)
        peft.save_pretrained(tmp_path / name)
        return peft, tmp_path / name

    return make


@pytest.fixture
def on_trunk(trunk_store, peft_adapter, write_adapter):
    """A policy of the store's trunk: its version."""
    parent = trunk_store.profile(SFT).version
    origin = Versioned(version=parent, digest=file_digest(trunk_store.path(SFT, parent) / ADAPTER))
    named = trunk_name(trunk_store, parent)
    _, adapter = peft_adapter("trained")
    version = write_adapter(trunk_store, "medium", adapter, named, WEIGHTS, parent=origin).version
    trunk_store.promote("medium", version)
    return version
