"""`fgctl serve` before anything is served: its engine arguments, and --dry-run."""

import json
import os

import pytest
from typer.testing import CliRunner

from cli.main import app
from rewards.errors import FgctlError

run = CliRunner()


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """The environment is as before afterwards, whatever vLLM sets in it."""
    pytest.importorskip("vllm")
    before = dict(os.environ)
    monkeypatch.setenv("FGCTL_ENGINE_ARGS", "--max-num-seqs 6 --seed 3")
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture
def serve(tiny):
    """Runs `fgctl serve` on a small base."""

    def served(*arguments):
        result = run.invoke(app, ["serve", "--base", str(tiny.path), *arguments])
        if isinstance(result.exception, FgctlError):
            return 1, str(result.exception)
        assert result.exception is None, result.exception
        return result.exit_code, result.stdout

    return served


def test_a_dry_run_shows_what_would_run_and_the_memory_that_it_needs(serve, tiny):
    code, out = serve("--dry-run", "--json", "--", "--max-num-seqs", "5", "-dp", "2")
    assert code == 0
    report = json.loads(out)
    assert report["layout"] == {"data": 2, "tensor": 1, "pipeline": 1, "devices": 2}
    assert report["sequences"] == 10
    arguments = {row["argument"]: row for row in report["arguments"]}
    assert (arguments["max_num_seqs"]["value"], arguments["max_num_seqs"]["from"]) == (5, "you")
    assert (arguments["seed"]["value"], arguments["seed"]["from"]) == (3, "you")
    assert (arguments["model"]["value"], arguments["model"]["from"]) == (str(tiny.path), "fgctl")
    assert arguments["enable_chunked_prefill"]["from"] == "default"
    assert "cannot rewind" in arguments["enable_chunked_prefill"]["why"]
    memory = report["memory"]
    assert memory["cache_gib"] == 2
    assert memory["here_gib"] == pytest.approx(2 * memory["of_one_device_gib"])
    parts = sum(memory[f"{part}_gib"] for part in ("weights", "adapters", "process", "cache"))
    assert memory["of_one_device_gib"] == pytest.approx(parts)
    assert report["whole_contexts"] == report["cache_tokens"] // 2048


def test_a_dry_run_is_readable(serve):
    code, out = serve("--dry-run")
    assert code == 0
    for part in ("--enable-chunked-prefill", "VLLM_CPU_OMP_THREADS_BIND", "of one device gib", "data parallel"):
        assert part in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--dry-run", "--", "-tp", "3"), "must be divisible by tensor parallel size"),
        (("--dry-run", "--", "--quantization", "awq"), "vLLM does not take these engine arguments"),
        (("--", "--max-loras", "3"), "FGCTL_RESIDENT_ADAPTERS"),
        (("--", "--no-such-flag"), "unrecognized arguments"),
    ],
)
def test_arguments_that_cannot_be_are_refused_before_anything_starts(serve, arguments, message):
    code, sentence = serve(*arguments)
    assert code == 1
    assert message in sentence
    assert "\n" not in sentence


def test_a_setting_that_cannot_be_read_is_named(serve, monkeypatch):
    monkeypatch.setenv("FGCTL_ENGINE_ARGS", "--hf-overrides '{")
    code, sentence = serve("--dry-run")
    assert code == 1
    assert sentence.startswith("FGCTL_ENGINE_ARGS: ")
