import json

import pytest
import torch
from safetensors.torch import load_file

from policies.adapter import LoraAdapter, relative_difference
from policies.store import BrokenPolicy, PolicyStore

KEY = "base_model.model.layers.1.q_proj"


@pytest.fixture
def adapter(write_policy, tmp_path):
    """Makes an adapter; `change` may spoil its tensors, `config` its configuration."""
    store = PolicyStore(tmp_path / "policies")

    def make(seed=0, change=None, **config):
        directory = store.path("medium", write_policy(store, seed=seed, change=change).version)
        file = directory / "adapter_config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | config))
        return LoraAdapter(directory)

    return make


def test_an_update_is_the_scaled_product_of_its_factors(adapter):
    stored = adapter()
    tensors = load_file(stored.directory / "adapter_model.safetensors")
    down, up = (tensors[f"{KEY}.lora_{factor}.weight"].float() for factor in "AB")
    assert stored.update(KEY).dtype == torch.float32
    assert torch.equal(stored.update(KEY), up @ down * 2.0)
    assert torch.allclose(adapter(use_rslora=True).update(KEY), up @ down * 4 / 2**0.5)


def test_the_relative_difference_of_updates(adapter):
    def halved(tensors):
        for name in tensors:
            if "lora_B" in name:
                tensors[name] = tensors[name] / 2

    def rotated(tensors):
        """Other factors of the same update."""
        for name in tensors:
            tensors[name] = tensors[name].flip(0 if "lora_A" in name else 1).contiguous()

    def silent(tensors):
        for name in tensors:
            tensors[name] = torch.zeros_like(tensors[name])

    def fewer(tensors):
        for name in [name for name in tensors if ".layers.2." in name]:
            del tensors[name]

    whole, zero = adapter(), adapter(change=silent)
    assert relative_difference(whole, adapter(change=rotated)) == pytest.approx(0, abs=1e-6)
    assert relative_difference(adapter(change=halved), whole) == pytest.approx(0.5)
    assert relative_difference(zero, whole) == 1
    assert relative_difference(whole, zero) is None
    second = sum(float(whole.update(name).square().sum()) for name in whole.modules if ".layers.2." in name)
    both = sum(float(whole.update(name).square().sum()) for name in whole.modules)
    assert relative_difference(adapter(change=fewer), whole) == pytest.approx((second / both) ** 0.5)


def test_a_sound_adapter_passes(adapter):
    adapter().check()
    adapter(layers_to_transform=None).check()


def spoil(name, value):
    def change(tensors):
        if value is None:
            del tensors[name]
        else:
            tensors[name] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (spoil(f"{KEY}.lora_A.weight", torch.full((2, 4), torch.nan)), "values that are not finite"),
        (spoil(f"{KEY}.lora_B.weight", torch.full((3, 2), torch.inf)), "values that are not finite"),
        (spoil(f"{KEY}.lora_A.weight", torch.ones(3, 4)), "not rank 2"),
        (spoil(f"{KEY}.lora_B.weight", torch.ones(3)), "not rank 2"),
        (spoil(f"{KEY}.lora_A.weight", None), "has lora_B instead of just lora_A and lora_B"),
        (spoil("lm_head.weight", torch.ones(2, 2)), "lm_head"),
        (spoil("score", torch.ones(2, 2)), "it has score"),
    ],
)
def test_spoilt_tensors_are_reported(adapter, change, message):
    with pytest.raises(BrokenPolicy, match=message) as caught:
        adapter(change=change).check()
    assert str(caught.value).endswith("; restore the adapter or train the policy again.")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"r": 4}, "not rank 4"),
        ({"target_modules": ["q_proj"]}, "v_proj is not a target module"),
        ({"target_modules": ["q_proj", "v_proj", "o_proj"]}, "o_proj has no update in layer 1"),
        ({"target_modules": ["q_proj", "v_proj", "o_proj"], "layers_to_transform": None}, "in layer any"),
        ({"layers_to_transform": [1, 2, 3]}, "q_proj has no update in layer 3"),
        ({"use_dora": True}, "use_dora"),
        ({"rank_pattern": {"q_proj": 4}}, "rank_pattern"),
        ({"peft_type": "IA3"}, "peft_type"),
    ],
)
def test_tensors_that_are_not_what_the_configuration_says(adapter, config, message):
    with pytest.raises(BrokenPolicy, match=message):
        adapter(**config).check()


def test_what_is_no_adapter_is_said(tmp_path):
    with pytest.raises(BrokenPolicy, match="cannot be read"):
        LoraAdapter(tmp_path)
    shape = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"]}
    (tmp_path / "adapter_config.json").write_text(json.dumps(shape))
    (tmp_path / "adapter_model.safetensors").write_bytes(b"\x80\x04pickled")
    with pytest.raises(BrokenPolicy, match="cannot be read"):
        LoraAdapter(tmp_path)
