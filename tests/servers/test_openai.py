"""The service against programs that know nothing of it, and the examples of docs/api.md as they are written."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from policies.base import resolve_base

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("backend", "endpoint"), [("openai", "/v1/completions"), ("openai-chat", "/v1/chat/completions")]
)
def test_vllms_benchmark_runs_unchanged(server, environment, tmp_path, backend, endpoint):
    asked = {
        "--backend": backend, "--endpoint": endpoint, "--base-url": server.url, "--model": "medium",
        "--tokenizer": str(resolve_base().path), "--dataset-name": "random", "--num-prompts": "4",
        "--random-input-len": "32", "--random-output-len": "8", "--result-dir": str(tmp_path),
        "--result-filename": "result.json",
    }  # fmt: skip
    flags = ["--ignore-eos", "--save-result", "--disable-tqdm"]
    command = [sys.executable, "-m", "vllm.entrypoints.cli.main", "bench", "serve", *flags]
    run = subprocess.run(
        [*command, *(word for option in asked.items() for word in option)],
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["completed"], result["failed"]) == (4, 0)
    assert result["total_output_tokens"] == 4 * 8
    assert result["mean_ttft_ms"] > 0
    assert result["mean_itl_ms"] > 0


def test_the_examples_of_the_documentation_run_as_written(server, environment, tmp_path):
    text = (ROOT / "docs" / "api.md").read_text()
    examples = re.findall(r"^```(sh|python)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert [language for language, _ in examples].count("python") >= 4
    for language, example in examples:
        program = ["bash", "-euo", "pipefail", "-c"] if language == "sh" else [sys.executable, "-c"]
        run = subprocess.run(
            [*program, example.replace("localhost:8000", server.url.removeprefix("http://"))],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, f"{example}\n{run.stderr}"
        assert run.stdout.strip(), example
