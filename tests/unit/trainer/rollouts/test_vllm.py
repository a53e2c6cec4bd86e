"""What the vLLM sampler decides without an engine."""

import json

import pytest

from rewards.errors import FgctlError
from trainer.recipe import load_recipe
from trainer.rollouts import vllm
from trainer.rollouts.vllm import OWNED, cache_gib, rollout_arguments


@pytest.mark.parametrize(
    ("max_tokens", "dtype", "gib"),
    # The default base needs 2 x 30 layers x 3 heads x 64 numbers a token: 45 KiB in float32.
    [
        (672, "float32", 2), (672, "bfloat16", 1), (1224, "float32", 3), (8192, "float32", 4),
        (64, "bfloat16", 1),
    ],
)  # fmt: skip
def test_the_cache_holds_half_of_the_responses_at_full_length(tmp_path, monkeypatch, max_tokens, dtype, gib):
    shape = {"num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3, "hidden_size": 576}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"} | shape))
    monkeypatch.setattr(vllm, "compute_dtype_name", lambda: dtype)
    assert cache_gib(tmp_path, max_tokens) == gib


@pytest.fixture
def base(tmp_path):
    shape = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 32}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"} | shape))
    return tmp_path


def test_the_recipes_engine_arguments_replace_the_defaults(base, monkeypatch):
    pytest.importorskip("vllm")
    arguments = rollout_arguments(base, 3000, ["--max-num-seqs", "7", "--kv-cache-memory-bytes", "1M"])
    assert (arguments["max_num_seqs"], arguments["kv_cache_memory_bytes"]) == (7, 1 << 20)
    assert (arguments["enable_chunked_prefill"], arguments["max_num_batched_tokens"]) == (False, 3000)
    assert arguments["logprobs_mode"] == "processed_logprobs"
    monkeypatch.setattr(vllm, "device", lambda: "gpu")
    arguments = rollout_arguments(base, 3000)
    assert (arguments["enable_chunked_prefill"], arguments["gpu_memory_utilization"]) == (True, 0.4)
    assert "kv_cache_memory_bytes" not in arguments


@pytest.mark.parametrize(
    ("words", "what_to_do"),
    [
        (["--tensor-parallel-size", "2"], "ppo.rollout_servers"),
        (["--quantization", "fp8"], "the model that is trained"),
        (["--max-model-len", "9"], "ppo.max_new_tokens"),
        (["--enable-chunked-prefill"], "would end the engine"),
    ],
)
def test_what_rollouts_need_is_refused_with_what_to_do_instead(base, words, what_to_do):
    pytest.importorskip("vllm")
    with pytest.raises(FgctlError, match="cannot be given") as caught:
        rollout_arguments(base, 100, words)
    assert what_to_do in str(caught.value)


def test_vllm_has_every_argument_that_rollouts_own():
    assert OWNED.keys() <= pytest.importorskip("vllm").AsyncEngineArgs.__dataclass_fields__.keys()


def test_engine_arguments_are_for_rollouts_in_the_training_process():
    chosen = ["ppo.rollouts=vllm", 'ppo.rollout_engine_args=["--max-num-seqs", "64"]']
    assert load_recipe("cpu", chosen).ppo.rollout_engine_args == ("--max-num-seqs", "64")
    with pytest.raises(FgctlError, match="rollouts=vllm"):
        load_recipe("cpu", chosen[1:])
