import pytest

from policies.adapters.base_modules import modules_of
from policies.adapters.lora import LoraAdapter
from rewards.errors import FgctlError
from trainer.bases.adapter_modules import target_modules
from trainer.bases.load_base import load_skeleton
from trainer.policy_model import PolicyModel
from trainer.recipe import LoraRecipe, load_recipe

ATTENTION = {
    "llama": ["k_proj", "o_proj", "q_proj", "v_proj"],
    "phi3": ["o_proj", "qkv_proj"],
    "opt": ["k_proj", "out_proj", "q_proj", "v_proj"],
    "gpt2": ["attn.c_proj", "c_attn"],
    "gptj": ["k_proj", "out_proj", "q_proj", "v_proj"],
    "falcon": ["dense", "query_key_value"],
    "bloom": ["dense", "query_key_value"],
    "mpt": ["Wqkv", "out_proj"],
}
ALL_LINEAR = {
    "llama": ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"],
    "phi3": ["down_proj", "gate_up_proj", "o_proj", "qkv_proj"],
    "gpt2": ["c_attn", "c_fc", "c_proj"],
    "llama4": ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"],
}


@pytest.mark.parametrize("architecture", ATTENTION)
def test_the_default_is_all_of_attention_by_the_names_of_the_architecture(make_base, architecture):
    skeleton = load_skeleton(make_base(architecture))
    assert target_modules(LoraRecipe(), skeleton, architecture) == ATTENTION[architecture]


@pytest.mark.parametrize("architecture", ALL_LINEAR)
def test_all_linear_is_every_linear_module_but_output_and_routers(make_base, architecture):
    lora = load_recipe("cpu", ["lora.target_modules=all-linear"]).lora
    assert target_modules(lora, load_skeleton(make_base(architecture)), architecture) == ALL_LINEAR[architecture]


def test_a_module_that_the_base_lacks_is_refused_with_those_it_has(make_base):
    lora = load_recipe("cpu", ['lora.target_modules=["o_proj", "q_proj"]']).lora
    with pytest.raises(FgctlError) as refused:
        target_modules(lora, load_skeleton(make_base("phi3")), "phi3")
    assert str(refused.value) == (
        "Base model phi3 has no module q_proj for an adapter; its linear modules are down_proj, gate_up_proj, o_proj, "
        "qkv_proj: name some by lora.target_modules."
    )


def test_an_adapter_on_transposed_weights_is_stored_whole(make_base, tmp_path):
    base = make_base("gpt2")
    model = PolicyModel(base, LoraRecipe(top_layers=1, target_modules="all-linear"))
    model.save_adapter(tmp_path / "adapter")
    adapter = LoraAdapter(tmp_path / "adapter")
    adapter.check(modules_of(base.path))
    assert {module.rpartition(".h.1.")[2] for module in adapter.modules} == {
        *("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"),
    }
    assert model.peft.peft_config["policy"].fan_in_fan_out
