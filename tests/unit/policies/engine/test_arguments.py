"""Engine arguments as a user writes them."""

import pytest

from policies.engine.arguments import flags, parse_arguments
from rewards.errors import FgctlError

OWNED = {"model": "policies belong to a base", "max_model_len": "set FGCTL_MAX_TOKENS"}


@pytest.fixture(autouse=True)
def _vllm():
    pytest.importorskip("vllm")


def test_only_what_is_named_is_read_in_any_form_that_vllm_takes():
    words = "-tp 4 --quantization=fp8 --kv_cache_memory_bytes 4G --no-enable-prefix-caching --hf-overrides".split()
    assert parse_arguments([*words, '{"a": 1}', "-dp", "2"], OWNED) == {
        "tensor_parallel_size": 4,
        "quantization": "fp8",
        "kv_cache_memory_bytes": 4 << 30,
        "enable_prefix_caching": False,
        "hf_overrides": {"a": 1},
        "data_parallel_size": 2,
    }


def test_a_default_that_is_named_counts_as_named():
    assert parse_arguments(["--tensor-parallel-size", "1", "--seed", "0"], OWNED) == {
        "tensor_parallel_size": 1,
        "seed": 0,
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--max-model-len 9", "--max-model-len cannot be given: set FGCTL_MAX_TOKENS."),
        ("--model gpt2", "--model cannot be given: policies belong to a base."),
        ("--no-such-flag", "unrecognized arguments: --no-such-flag"),
        ("stray", "unrecognized arguments: stray"),
        ("--tensor-parallel-size four", "invalid int value: 'four'"),
        ("--tensor-parallel-size", "expected one argument"),
        ("--compilation-config {broken", "--compilation-config"),
        ("--config nowhere.yaml", "nowhere.yaml"),
    ],
)
def test_what_cannot_be_given_is_one_sentence(words, message):
    with pytest.raises(FgctlError) as caught:
        parse_arguments(words.split(), OWNED)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_arguments_vllm_is_not_asked(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "vllm.engine.arg_utils", None)
    assert parse_arguments([], OWNED) == {}


def test_arguments_written_as_flags_are_read_as_the_same_arguments():
    arguments = {
        "dtype": "bfloat16",
        "enforce_eager": True,
        "enable_chunked_prefill": False,
        "lora_target_modules": ["q_proj", "v_proj"],
        "gpu_memory_utilization": 0.5,
    }
    assert parse_arguments(flags(arguments | {"max_num_seqs": None}), OWNED) == arguments
