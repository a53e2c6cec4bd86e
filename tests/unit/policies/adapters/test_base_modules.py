import pytest

from policies.adapters.base_modules import local_modules, modules_of
from policies.adapters.configuration import AdapterConfig
from policies.base import resolve_base


@pytest.fixture(scope="module")
def default():
    return resolve_base()


def test_the_modules_of_the_default_base(default):
    modules = modules_of(default.path)
    assert modules.shapes["model.layers.0.self_attn.k_proj"] == (192, 576)
    assert modules.shapes["model.layers.29.mlp.down_proj"] == (576, 1536)
    assert (modules.embeddings, modules.output) == ({"model.embed_tokens"}, "lm_head")
    config = AdapterConfig(peft_type="LORA", r=1, lora_alpha=1, target_modules="all-linear")
    assert len(modules.declared_by(config)) == 30 * 7


def test_a_base_of_transposed_weights_has_their_output_first(tmp_path):
    from transformers import GPT2Config

    GPT2Config(n_embd=8, n_layer=1, n_head=2, vocab_size=20).save_pretrained(tmp_path)
    assert modules_of(tmp_path).shapes["transformer.h.0.attn.c_attn"] == (24, 8)


def test_a_base_is_known_where_it_lies_on_this_machine(default, tmp_path):
    assert local_modules(default.name, default.digest) is modules_of(default.path)
    assert local_modules(default.name, "0" * 64) is None
    assert local_modules(str(tmp_path), "0" * 64) is None
    assert local_modules("nobody/nothing", "0" * 64) is None


def test_a_base_that_transformers_does_not_know_is_checked_without_shapes(tmp_path, caplog):
    (tmp_path / "config.json").write_text('{"model_type": "unheard-of"}')
    assert modules_of(tmp_path) is None
    assert "are unknown" in caplog.text
