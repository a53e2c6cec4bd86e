"""What the vLLM sampler decides without an engine."""

import json

import pytest
import torch

from trainer.rollouts import vllm
from trainer.rollouts.vllm import cache_gib


@pytest.mark.parametrize(
    ("max_tokens", "dtype", "gib"),
    # The default base needs 2 x 30 layers x 3 heads x 64 numbers a token: 45 KiB in float32.
    [
        (672, torch.float32, 2), (672, torch.bfloat16, 1), (1224, torch.float32, 3), (8192, torch.float32, 4),
        (64, torch.bfloat16, 1),
    ],
)  # fmt: skip
def test_the_cache_holds_half_of_the_responses_at_full_length(tmp_path, monkeypatch, max_tokens, dtype, gib):
    shape = {"num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3, "hidden_size": 576}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"} | shape))
    monkeypatch.setattr(vllm, "compute_dtype", lambda: dtype)
    assert cache_gib(tmp_path, max_tokens) == gib
