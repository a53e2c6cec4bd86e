import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from policies.adapters.base_modules import BaseModules, modules_of
from policies.adapters.lora import LoraAdapter, relative_difference
from policies.store import BrokenPolicy, PolicyStore

NAMES = [f"model.layers.{layer}.self_attn.{name}" for layer in (1, 2) for name in ("q_proj", "v_proj")]
KEY = f"base_model.model.{NAMES[0]}"
BASE = BaseModules(dict.fromkeys(NAMES, (3, 4)))


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
    assert torch.equal(adapter(alpha_pattern={"q_proj": 8}).update(KEY), up @ down * 4.0)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A small base of PEFT's own kind, and its directory."""
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = {"hidden_size": 8, "intermediate_size": 12, "num_attention_heads": 2, "num_key_value_heads": 1}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=20, num_hidden_layers=3, **shape))
    directory = tmp_path_factory.mktemp("base")
    model.config.save_pretrained(directory)
    return model, directory


@pytest.mark.parametrize(
    "config",
    [
        {"target_modules": ["q_proj", "down_proj"]},
        {"target_modules": ["model.layers.1.self_attn.k_proj", "lm_head"]},
        {"target_modules": r".*\.(0|2)\.self_attn\.[qv]_proj"},
        {"target_modules": "all-linear", "exclude_modules": ["o_proj"]},
        {"target_modules": ["q_proj"], "layers_to_transform": [0, 2]},
        {"target_modules": ["q_proj"], "layers_to_transform": 1, "layers_pattern": "layers"},
        {"target_modules": ["q_proj", "up_proj", "nothing"], "exclude_modules": r".*\.2\..*"},
        {"target_modules": ["q_proj", "v_proj"], "rank_pattern": {"v_proj": 5, r"layers\.1\.self_attn\.q_proj": 3}},
        {"target_modules": ["q_proj", "v_proj"], "alpha_pattern": {"v_proj": 7}, "rank_pattern": {"v_proj": 4}},
        {"target_modules": ["q_proj"], "use_rslora": True, "rank_pattern": {"2.self_attn.q_proj": 6}},
    ],
    ids=str,
)
def test_what_peft_saves_passes_and_its_updates_are_those_of_peft(base, tmp_path, config):
    import copy

    from peft import LoraConfig, get_peft_model

    model, directory = base
    adapted = get_peft_model(copy.deepcopy(model), LoraConfig(r=2, lora_alpha=3, init_lora_weights=False, **config))
    adapted.save_pretrained(tmp_path, save_embedding_layers=False)
    stored = LoraAdapter(tmp_path)
    stored.check(modules_of(directory))
    layers = {name: layer for name, layer in adapted.named_modules() if hasattr(layer, "lora_A")}
    assert stored.modules == {f"base_model.model.{name.removeprefix('base_model.model.')}" for name in layers}
    for name, layer in layers.items():
        assert torch.allclose(stored.update(name), layer.get_delta_weight("default"), atol=1e-6)
    assert stored.rank == max([2, *config.get("rank_pattern", {}).values()])


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


@pytest.mark.parametrize("base", [None, BASE])
def test_a_sound_adapter_passes(adapter, base):
    adapter().check(base)
    adapter(layers_to_transform=None).check(base)
    adapter(target_modules=r"model\.layers\..*\.(q|v)_proj", layers_to_transform=None).check(base)
    adapter(target_modules=["q_proj", "v_proj"], exclude_modules=["o_proj"]).check(base)
    adapter(r=4, rank_pattern={"[qv]_proj": 2}).check(base)
    adapter(init_lora_weights="gaussian", rank_pattern=None, bias="none", modules_to_save=[]).check(base)


def test_a_target_that_the_base_lacks_is_no_fault(adapter):
    adapter(target_modules=["q_proj", "v_proj", "Wqkv"]).check(BASE)


def spoil(name, value):
    def change(tensors):
        if value is None:
            del tensors[name]
        else:
            tensors[name] = value

    return change


RESTORE = "; restore the adapter or train the policy again."
PLAIN = "; train it as plain LoRA."


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (spoil(f"{KEY}.lora_A.weight", torch.full((2, 4), torch.nan)), f"values that are not finite{RESTORE}"),
        (spoil(f"{KEY}.lora_B.weight", torch.full((3, 2), torch.inf)), f"values that are not finite{RESTORE}"),
        (spoil(f"{KEY}.lora_A.weight", torch.ones(3, 4)), f"not rank 2{RESTORE}"),
        (spoil(f"{KEY}.lora_B.weight", torch.ones(3)), f"not rank 2{RESTORE}"),
        (spoil(f"{KEY}.lora_A.weight", torch.ones(2, 5)), "has an update of [3, 5], but a shape of [3, 4]"),
        (spoil(f"{KEY}.lora_A.weight", None), f"has lora_B alone instead of lora_A and lora_B{RESTORE}"),
        (dict.clear, f"it changes no module{RESTORE}"),
        (spoil("base_model.model.lm_head.weight", torch.ones(2, 2)), "a whole weight of the base; save it with"),
        (
            spoil("base_model.model.model.embed_tokens.base_layer.weight", torch.ones(2, 2)),
            "a whole weight of the base",
        ),
        (spoil("base_model.model.model.embed_tokens.lora_embedding_A", torch.ones(2, 2)), "an update of embeddings"),
        (spoil(f"{KEY}.lora_B.bias", torch.ones(3)), "a bias; train it with bias='none'"),
        (spoil(f"{KEY}.lora_magnitude_vector", torch.ones(3)), f"by which DoRA rescales a weight{PLAIN}"),
        (spoil(f"{KEY}.lora_magnitude_vector.weight", torch.ones(3)), f"by which DoRA rescales a weight{PLAIN}"),
        (spoil("score", torch.ones(2, 2)), f"holds score, which is not part of plain LoRA{PLAIN}"),
    ],
)
def test_spoilt_and_foreign_tensors_are_reported_and_never_dropped(adapter, change, message):
    with pytest.raises(BrokenPolicy) as caught:
        adapter(change=change).check(BASE)
    assert message in str(caught.value)
    assert str(caught.value).startswith("medium@")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"r": 4}, "not rank 4"),
        ({"target_modules": ["q_proj"]}, "v_proj is not a target module"),
        ({"target_modules": r"model\.layers\.1\..*", "layers_to_transform": None}, "layers.2.self_attn.q_proj is not"),
        ({"exclude_modules": ["v_proj"]}, "v_proj is not a target module"),
        ({"target_modules": ["q_proj", "v_proj", "o_proj"]}, "o_proj has no update in layer 1"),
        ({"target_modules": ["q_proj", "v_proj", "o_proj"], "layers_to_transform": None}, "in layer any"),
        ({"layers_to_transform": [1, 2, 3]}, "q_proj has no update in layer 3"),
        ({"rank_pattern": {"q_proj": 4}}, "not rank 4"),
    ],
)
def test_tensors_that_are_not_what_the_configuration_says(adapter, config, message):
    with pytest.raises(BrokenPolicy, match=message):
        adapter(**config).check(None)


def test_modules_are_compared_with_those_of_the_base(adapter):
    with pytest.raises(BrokenPolicy, match=r"the base has no linear layer model\.layers\.2\.self_attn\.v_proj"):
        adapter().check(BaseModules(dict.fromkeys(NAMES[:3], (3, 4))))
    more = BaseModules(dict.fromkeys([*NAMES, "model.layers.2.mlp.q_proj"], (3, 4)))
    with pytest.raises(BrokenPolicy, match=r"model\.layers\.2\.mlp\.q_proj is a target module without an update"):
        adapter().check(more)


def test_what_is_no_adapter_is_reported(tmp_path):
    with pytest.raises(BrokenPolicy, match=r"adapter_config\.json cannot be read"):
        LoraAdapter(tmp_path)
    shape = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"]}
    (tmp_path / "adapter_config.json").write_text(json.dumps(shape))
    with pytest.raises(BrokenPolicy, match=r"adapter_model\.safetensors is missing"):
        LoraAdapter(tmp_path)
    (tmp_path / "adapter_model.safetensors").write_bytes(b"\x80\x04pickled")
    with pytest.raises(BrokenPolicy, match=r"adapter_model\.safetensors cannot be read"):
        LoraAdapter(tmp_path)


def test_messages_hold_no_directory(tmp_path):
    directory = tmp_path / "medium" / "abc"
    directory.mkdir(parents=True)
    for write in (
        lambda: None,
        lambda: (directory / "adapter_config.json").write_text("{"),
        lambda: (directory / "adapter_config.json").write_text('{"peft_type": "IA3"}'),
        lambda: (directory / "adapter_config.json").write_text(
            '{"peft_type": "LORA", "r": 1, "lora_alpha": 1, "target_modules": "x"}'
        ),
        lambda: save_file({"x": torch.ones(1)}, directory / "adapter_model.safetensors"),
    ):
        write()
        with pytest.raises(BrokenPolicy) as caught:
            LoraAdapter(directory)
        assert str(caught.value).startswith("medium@abc")
        assert str(tmp_path) not in str(caught.value)
