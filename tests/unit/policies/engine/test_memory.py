"""The memory that an engine needs, by hand-computed cases."""

import json

import pytest
import torch
from safetensors.torch import save_file

from policies.engine.memory import Layout, Model, adapter_bytes, needs

GIB = 2**30
SEVENTY_B = Model(
    parameters=70_000_000_000, stored_bytes=140_000_000_000, quantised=False, layers=80, kv_heads=8, head_width=128
)


def test_a_model_is_read_from_its_configuration_and_the_headers_of_its_weights(tmp_path):
    shape = {"num_hidden_layers": 4, "num_attention_heads": 8, "num_key_value_heads": 2, "hidden_size": 64}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"} | shape))
    save_file({"a": torch.zeros(3, 5), "b": torch.zeros(7, dtype=torch.bfloat16)}, tmp_path / "model-1.safetensors")
    save_file({"c": torch.zeros(2)}, tmp_path / "model-2.safetensors", metadata={"format": "pt"})
    assert Model.of(tmp_path) == Model(3 * 5 + 7 + 2, 4 * 15 + 2 * 7 + 4 * 2, False, 4, 2, 8)


@pytest.mark.parametrize(
    ("quantised", "dtype", "quantization", "expected"),
    [
        (False, "bfloat16", None, 140e9),
        (False, "float32", None, 280e9),
        (False, "bfloat16", "fp8", 70e9),
        (False, "bfloat16", "bitsandbytes", 35e9),
        (True, "bfloat16", None, 40e9),
    ],
)
def test_weights_take_what_they_are_loaded_as(quantised, dtype, quantization, expected):
    stored = 40_000_000_000 if quantised else 140_000_000_000
    model = Model(70_000_000_000, stored, quantised, 80, 8, 128)
    assert model.weights_bytes(dtype, quantization) == expected


@pytest.mark.parametrize(
    ("layout", "cache_dtype", "expected"),
    [
        (Layout(), "auto", 2 * 80 * 8 * 128 * 2),
        (Layout(tensor=4), "auto", 2 * 80 * 2 * 128 * 2),
        (Layout(tensor=16), "auto", 2 * 80 * 1 * 128 * 2),  # no less than a head
        (Layout(pipeline=3), "auto", 2 * 27 * 8 * 128 * 2),  # the largest stage
        (Layout(data=8), "fp8", 2 * 80 * 8 * 128 * 1),
    ],
)
def test_a_token_takes_the_keys_and_values_of_a_devices_layers_and_heads(layout, cache_dtype, expected):
    assert SEVENTY_B.token_bytes(layout, "bfloat16", cache_dtype) == expected


def test_adapters_take_a_slot_for_each_adapted_module():
    shapes = {"layers.0.q_proj": (10, 20), "layers.0.up_proj": (30, 20), "lm_head": (100, 20)}
    assert adapter_bytes(shapes, {"q_proj", "up_proj"}, 8, 3, Layout(), "bfloat16") == 3 * 8 * (30 + 50) * 2
    assert adapter_bytes(shapes, {"q_proj"}, 8, 1, Layout(tensor=2), "float32") == 8 * (5 + 20) * 4


def test_a_gpu_caches_what_its_share_leaves():
    arguments = {"dtype": "bfloat16", "gpu_memory_utilization": 0.9}
    need = needs(SEVENTY_B, Layout(tensor=4), arguments, 1 * GIB, 80 * GIB)
    assert need.weights == 35e9
    assert need.total == pytest.approx(72 * GIB)
    assert need.cache_tokens == int((72 * GIB - 35e9 - 1 * GIB - 2 * GIB) / (2 * 80 * 2 * 128 * 2))


def test_a_model_that_does_not_fit_leaves_no_cache():
    need = needs(SEVENTY_B, Layout(), {"dtype": "bfloat16"}, 0, 80 * GIB)
    assert (need.cache, need.cache_tokens) == (0, 0)
    assert need.total > 80 * GIB


def test_a_cache_of_a_given_size_is_taken_as_it_is():
    small = Model(1000, 4000, False, 2, 2, 16)
    need = needs(small, Layout(data=2), {"dtype": "float32", "kv_cache_memory_bytes": 1 << 20}, 0, None)
    assert (need.cache, need.cache_tokens) == (1 << 20, (1 << 20) // (2 * 2 * 2 * 16 * 4))
    assert Layout(2, 4, 3).devices == 24
