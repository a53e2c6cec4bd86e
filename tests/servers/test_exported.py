"""Exported policies in a stock vLLM server, which answers as PEFT does."""

import json
import shutil
import subprocess
import sys

import httpx
import pytest
import torch

from policies.base import resolve_base
from policies.exchange.exporting import export_policy
from policies.exchange.places import Directory
from policies.mixing import MIXTURE, anchors, mixture_for, store_mixture
from policies.store import SHIPPED, PolicyStore
from policies.trunk import trunk_of
from policies.weights import Weights
from service.bench.paused_programs import Program
from service.bench.servers import free_address, server_environment, wait_until_ready
from service.engine.engine import PROBE
from service.settings import Settings

STOCK = """
import json, sys, torch
from peft import AutoPeftModelForCausalLM
from transformers import AutoTokenizer

directory, text = sys.argv[1:]
model = AutoPeftModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
ids = AutoTokenizer.from_pretrained(model.peft_config["default"].base_model_name_or_path)(text, return_tensors="pt")
with torch.inference_mode():
    logprobs = model(**ids).logits[0, :-1].log_softmax(-1).gather(-1, ids["input_ids"][0, 1:, None])[:, 0]
print(json.dumps(logprobs.tolist()))
"""
"""Plain PEFT in a process that knows nothing else: the log-probabilities of a text's tokens but the first."""


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The directories of exported policies by name, a mixture of higher rank among them."""
    directory = tmp_path_factory.mktemp("exported")
    shutil.copytree(SHIPPED, directory / "policies")
    store = PolicyStore(directory / "policies")
    mixable = anchors(store, trunk_of(resolve_base(), store).digest)
    mixture = store_mixture(store, mixture_for(Weights.parse("0.4,0.4,0.2"), mixable))
    versions = {"medium": store.profile("medium").version, MIXTURE: mixture.version}
    for profile, version in versions.items():
        export_policy(store, profile, version, Directory(directory / profile))
    return {profile: directory / profile for profile in versions}


@pytest.fixture(scope="module")
def vllm(exported, tmp_path_factory):
    """The URL of `vllm serve` with the exported policies, without this project's plugin."""
    pytest.importorskip("vllm")
    url, port = free_address()
    config = json.loads((exported["medium"] / "adapter_config.json").read_text())
    command = [
        sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--host", "127.0.0.1", "--port", str(port),
        "--model", config["base_model_name_or_path"], "--served-model-name", "base", "--max-model-len", "512",
        "--max-num-seqs", "4", "--enforce-eager", "--enable-lora", "--max-loras", "2", "--max-lora-rank", "32",
        "--lora-modules", *(f"{name}={directory}" for name, directory in exported.items()),
    ]  # fmt: skip
    environment = server_environment(Settings()) | {"VLLM_PLUGINS": "", "VLLM_CPU_KVCACHE_SPACE": "1"}
    with Program("vllm serve", command, environment) as program:
        wait_until_ready(program, f"{url}/health")
        yield url


def served_logprobs(url, model):
    body = {"model": model, "prompt": PROBE, "max_tokens": 1, "temperature": 0, "prompt_logprobs": 0}
    (choice,) = httpx.post(f"{url}/v1/completions", json=body, timeout=300).raise_for_status().json()["choices"]
    return torch.tensor([next(iter(entry.values()))["logprob"] for entry in choice["prompt_logprobs"][1:]])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["medium", MIXTURE])
def test_vllm_and_peft_load_an_exported_policy_and_agree(exported, vllm, name, tmp_path):
    command = [sys.executable, "-c", STOCK, exported[name], PROBE]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=600)
    assert done.returncode == 0, done.stderr[-4000:]
    by_peft = torch.tensor(json.loads(done.stdout.splitlines()[-1]))
    by_vllm, base = served_logprobs(vllm, name), served_logprobs(vllm, "base")
    error = (by_vllm - by_peft).abs().mean().item()
    assert error < 0.1
    assert (by_vllm - base).abs().mean().item() > 3 * error
