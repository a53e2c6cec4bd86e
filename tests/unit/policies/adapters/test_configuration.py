import json

import pytest

from policies.adapters.configuration import read_config
from policies.errors import BrokenPolicy

PLAIN = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "target_modules": ["q_proj"]}


@pytest.fixture
def config(tmp_path):
    def read(**settings):
        (tmp_path / "adapter_config.json").write_text(json.dumps(PLAIN | settings))
        return read_config(tmp_path, "medium@1")

    return read


def test_ranks_and_scales_follow_the_first_pattern_that_matches_the_end_of_the_name(config):
    patterns = {
        "rank_pattern": {r"layers\.1\.q_proj": 32, "q_proj": 4},
        "alpha_pattern": {"^model.layers.1.q_proj": 64},
    }
    made = config(**patterns)
    assert [made.rank_of(f"model.layers.{layer}.{name}") for layer, name in ((1, "q_proj"), (2, "q_proj"))] == [32, 4]
    assert made.rank_of("model.layers.1.v_proj") == made.rank_of("model.layers.1.not_q_proj") == 8
    assert made.scale_of("model.layers.1.q_proj") == 2
    assert made.scale_of("model.layers.2.q_proj") == 4
    assert made.rank == 32
    assert config(**patterns, use_rslora=True).scale_of("model.layers.1.q_proj") == pytest.approx(64 / 32**0.5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"use_dora": True}, "medium@1 is DoRA, which rescales the base's weights too (use_dora); train it as plain"),
        ({"lora_bias": True}, "medium@1 has biases (lora_bias); train it as plain LoRA."),
        ({"bias": "all"}, "medium@1 has biases (bias is 'all'); train it as plain LoRA."),
        ({"modules_to_save": ["lm_head"]}, "replaces whole modules (modules_to_save)"),
        ({"trainable_token_indices": [1]}, "replaces embeddings of single tokens"),
        ({"layer_replication": [[0, 2]]}, "repeats layers of the base (layer_replication)"),
        ({"alora_invocation_tokens": [5]}, "is an activated LoRA"),
        ({"init_lora_weights": "pissa"}, "began from pissa (init_lora_weights), which changes the base's weights; let"),
        ({"init_lora_weights": "pissa_niter_4"}, "path_initial_model_for_weight_conversion."),
        ({"init_lora_weights": "olora"}, "began from olora"),
        ({"peft_type": "IA3"}, "adapter_config.json: peft_type"),
        ({"r": 0}, "adapter_config.json: r:"),
        ({"rank_pattern": {"q_proj": 0}}, "adapter_config.json: rank_pattern.q_proj"),
        ({"target_modules": None}, "adapter_config.json: target_modules"),
        ({"target_modules": "q_proj("}, "'q_proj(' is not a regular expression"),
        ({"alpha_pattern": {"[": 2}}, "'[' is not a regular expression"),
    ],
)
def test_what_is_not_plain_lora_is_refused_in_a_sentence(config, settings, message):
    with pytest.raises(BrokenPolicy) as caught:
        config(**settings)
    assert message in str(caught.value)
    assert str(caught.value).endswith(".")


def test_a_file_that_is_no_object_is_refused(tmp_path):
    (tmp_path / "adapter_config.json").write_text("[1]")
    with pytest.raises(BrokenPolicy, match=r"adapter_config\.json: content"):
        read_config(tmp_path, "medium@1")
