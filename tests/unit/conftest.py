"""A category that exists by configuration alone, and small policies with a base for them."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest

from tests.byte_llama import byte_llama
from tests.s3 import S3Server


class _Judge(BaseHTTPRequestHandler):
    """The probability of an error is the share of capitals among a segment's letters."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        reply = {
            "probabilities": [[_capitals(s["text"]) for s in response["segments"]] for response in body["responses"]]
        }
        content = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass


def _capitals(text):
    letters = [c for c in text if c.isalpha()]
    return sum(c.isupper() for c in letters) / max(1, len(letters))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A base: a random Llama of two layers that reads bytes."""
    return byte_llama(tmp_path_factory.mktemp("tiny"), width=32, initializer_range=0.5)


@pytest.fixture
def make_base(tiny, tmp_path):
    """Makes the random base of an architecture, with the tiny base's tokenizer."""
    import torch

    from tests.architectures import random_base

    torch.set_num_threads(1)
    return lambda name: random_base(name, tmp_path / name, tiny)


@pytest.fixture(scope="session")
def tiny_parents(tiny, tmp_path_factory):
    """Two parents' adapters of that base, rank 4 on every linear layer, as PEFT saves them."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaForCausalLM

    directories = []
    for seed in (1, 2):
        model = LlamaForCausalLM.from_pretrained(tiny.path)
        peft = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM"))
        torch.manual_seed(seed)
        with torch.no_grad():
            for name, parameter in peft.named_parameters():
                if "lora_B" in name:
                    parameter.copy_(torch.randn_like(parameter) * 0.3)
        directories.append(tmp_path_factory.mktemp("parent"))
        peft.save_pretrained(directories[-1])
    return directories


@pytest.fixture
def write_adapter():
    """Stores an adapter's directory as a version of a profile, for a base or trunk."""
    from policies.manifest import Named
    from policies.weights import Weights

    def write(store, profile, adapter, base, weights=None, **fields):
        lineage = {"parent": None, "recipe": {}, "data": (), "rewards": None, "steps": 0, "episodes": 0, "scores": {}}
        shaped = {"weights": weights and Weights.parse(weights), "base": Named(name=base.name, digest=base.digest)}
        return store.write(profile, adapter, lineage | shaped | fields)

    return write


@pytest.fixture
def trunk_store(tiny, tiny_parents, write_adapter, tmp_path, monkeypatch):
    """A store whose current parent is merged into that base, and an empty cache for the trunk."""
    from policies.store import PolicyStore

    monkeypatch.setenv("FGCTL_CACHE", str(tmp_path / "cache"))
    store = PolicyStore(tmp_path / "policies")
    store.promote("sft", write_adapter(store, "sft", tiny_parents[0], tiny, merged=True).version)
    return store


@pytest.fixture
def write_policy():
    """Stores a small adapter of two layers as a new version; another seed is another version."""
    from policies.manifest import Named
    from policies.weights import Weights
    from rewards.categories import ANNOTATED

    def write(store, profile="medium", seed=0, *, weights="0.3,0.5,0.2", change=None, **fields):
        adapter = make_adapter(store.root.parent / f"{profile}-{seed}", seed, change)
        manifest = {
            "weights": weights and Weights.parse(weights, ANNOTATED),
            "base": Named(name="base", digest="b" * 64),
            "parent": None,
            "recipe": {"name": "smoke"},
            "data": (),
            "rewards": None,
            "steps": 2,
            "episodes": 8,
            "scores": {},
        }
        return store.write(profile, adapter, manifest | fields)

    return write


def make_adapter(directory, seed, change=None):
    """Rank 2 on two modules of layers 1 and 2; `change` may spoil the tensors."""
    import torch
    from safetensors.torch import save_file

    directory.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    names = [f"model.layers.{layer}.self_attn.{name}" for layer in (1, 2) for name in ("q_proj", "v_proj")]
    modules = [f"base_model.model.{name}" for name in names]
    tensors = {f"{module}.lora_A.weight": torch.randn(2, 4).bfloat16() for module in modules}
    tensors |= {f"{module}.lora_B.weight": torch.randn(3, 2).bfloat16() for module in modules}
    if change:
        change(tensors)
    save_file(tensors, directory / "adapter_model.safetensors")
    shape = {"r": 2, "lora_alpha": 4.0, "target_modules": ["q_proj", "v_proj"], "layers_to_transform": [1, 2]}
    (directory / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"} | shape))
    return directory


@pytest.fixture
def recorded():
    """Makes the scores that an evaluation records, as far as a promotion reads them."""

    def make(rewards, **fields):
        return {
            "n": len(rewards),
            "weighted_reward": sum(rewards) / len(rewards),
            "rewards": "r",
            "questions": "q",
            "decoding": {"temperature": 0},
            "per_question": {"weighted_reward": list(rewards)},
        } | fields

    return make


@pytest.fixture(scope="session")
def judge():
    """The URL of an endpoint that judges shouting."""
    server = HTTPServer(("127.0.0.1", 0), _Judge)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.fixture
def shouting(judge, tmp_path, monkeypatch):
    """A configured category: a file that FGCTL_CATEGORIES names."""
    file = tmp_path / "categories.toml"
    file.write_text(
        f'[category.shouting]\ndensity = "sentence"\ndescription = "nobody shouts"\nthreshold = 0.75\n'
        f'type = "http"\nurl = "{judge}"\n'
    )
    monkeypatch.setenv("FGCTL_CATEGORIES", str(file))
    return file


@pytest.fixture
def evaluated():
    """Makes reports of `fgctl evaluate` with random values by question, as far as statistics and tables read them."""

    def make(profile, version="1", seed=0, questions=20, asked="a", judged=True):
        rng = np.random.default_rng(seed)

        def judgements():
            segments = {c: rng.integers(0, 6, questions) for c in ("relevance", "factuality")}
            return {
                "completeness": rng.normal(size=questions).tolist(),
                "reward": {c: rng.normal(size=questions).tolist() for c in ("relevance", "factuality", "completeness")},
                "segments": {c: n.tolist() for c, n in segments.items()},
                "errors": {c: rng.binomial(n, 0.4).tolist() for c, n in segments.items()},
            }

        per_question = judgements() | {
            "words": rng.integers(20, 120, questions).tolist(),
            "rouge_lsum": rng.uniform(0, 100, questions).tolist(),
            "repetition": rng.uniform(0, 1, questions).tolist(),
            "copied": {
                "share": rng.uniform(0, 1, questions).tolist(),
                "longest": rng.integers(0, 60, questions).tolist(),
            },
            "answer": rng.integers(0, 3, questions).astype(str).tolist(),
            "truncated": rng.integers(0, 2, questions).tolist(),
            "nll": rng.uniform(0, 3, questions).tolist(),
            "nll_tokens": rng.integers(0, 90, questions).tolist(),
            "judge": judgements() if judged else None,
        }
        weights = {"relevance": 0.2, "factuality": 0.5, "completeness": 0.3}
        return {
            "profile": profile, "version": version, "questions": asked, "rewards": "r", "weights": weights,
            "per_question": per_question,
        }  # fmt: skip

    return make


@pytest.fixture(scope="session")
def s3_server():
    server = S3Server()
    yield server
    server.stop()


@pytest.fixture
def bucket(s3_server, tmp_path, monkeypatch):
    """The URL of an empty store in a bucket, and a cache of this test's own."""
    # With FGCTL_POLICIES, because --policies sets it for the rest of a process.
    own = {"FGCTL_CACHE": str(tmp_path / "cache"), "FGCTL_USER": "tester", "FGCTL_POLICIES": ""}
    for name, value in (s3_server.environment | own).items():
        monkeypatch.setenv(name, value)
    return s3_server.bucket()
