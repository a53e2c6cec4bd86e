"""The table of defaults, and its copy in the documentation."""

from pathlib import Path

import pytest

from policies.engine.defaults import Use, default_arguments, defaults

DOCS = Path(__file__).parents[4] / "docs" / "scaling.md"


def test_a_cpu_takes_whole_prompts_and_a_gpu_chunks_and_graphs():
    use = Use(context=3000, cache_bytes=2 << 30)
    assert default_arguments(use, "cpu") == {
        "max_num_seqs": 32, "enable_chunked_prefill": False, "max_num_batched_tokens": 3000, "enforce_eager": True,
        "kv_cache_memory_bytes": 2 << 30, "enable_prefix_caching": True,
    }  # fmt: skip
    assert default_arguments(use, "gpu") == {
        "max_num_seqs": 256, "enable_chunked_prefill": True, "enforce_eager": False, "gpu_memory_utilization": 0.9,
        "enable_prefix_caching": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("use", "where", "argument", "value"),
    [
        (Use(100, 1), "cpu", "max_num_batched_tokens", 2048),
        (Use(100, 1, sequences=7), "gpu", "max_num_seqs", 7),
        (Use(100, 1, sequences=7), "cpu", "max_num_seqs", 7),
        (Use(100, 1, compiled=True), "cpu", "enforce_eager", False),
        (Use(100, 1, beside_training=True), "gpu", "gpu_memory_utilization", 0.4),
    ],
)
def test_what_an_engine_is_for_changes_the_defaults(use, where, argument, value):
    assert default_arguments(use, where)[argument] == value


def test_the_documentation_has_every_default_with_its_reason():
    text = " ".join(DOCS.read_text().split())
    for row in defaults(Use(2048, 2 << 30)):
        assert f"| `--{row.argument.replace('_', '-')}` |" in text
        assert row.why in text
