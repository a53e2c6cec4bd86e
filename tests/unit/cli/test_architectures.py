"""`fgctl sft` and `fgctl train` on random bases of many architectures, with transformers sampling."""

import json
import re

import pytest
import torch

from policies.store import PolicyStore
from rewards.dataset import SAMPLE
from tests.unit.cli.test_commands import invoke

TRAINED = ("gemma3", "gptj", "phi3", "opt", "gpt2", "qwen2", "mistral")
POLICY = ("--weights", "1,1,1", "--profile", "medium")
SMALLEST = (
    *("lora.top_layers=1", "sft.max_examples=2", "sft.max_prompt_tokens=200", "sft.max_response_tokens=300"),
    *("ppo.rollouts=transformers", "ppo.steps=1", "ppo.prompts_per_step=1", "ppo.logprob_tolerance=1e-3"),
    *("ppo.max_prompt_tokens=200", "ppo.max_new_tokens=16"),
    "ppo.stop.entropy=0",  # random weights may be as sure of a token as a policy that has collapsed
)


@pytest.fixture
def fgctl(make_base, tmp_path, monkeypatch):
    """Runs a training command by the smallest recipe on the base of an architecture, in a store of this test's own."""
    monkeypatch.setenv("FGCTL_POLICIES", str(tmp_path / "policies"))
    monkeypatch.setenv("FGCTL_CACHE", str(tmp_path / "cache"))
    # So that sampler and trainer agree almost exactly: bfloat16 would hide what is wrong in random weights.
    monkeypatch.setattr("trainer.policy_model.compute_dtype", lambda: torch.float32)

    def training(command, architecture, *arguments, settings=()):
        base = tmp_path / architecture
        if not base.is_dir():
            make_base(architecture)
        overrides = [part for setting in (*SMALLEST, *settings) for part in ("--set", setting)]
        return invoke(
            *(command, "--base", base, "--data", SAMPLE / "train.json", "--recipe", "smoke", *overrides),
            *("--run", tmp_path / command, "--promote", "--json", *arguments),
        )

    return training


def stored(tmp_path, profile, reply):
    """The manifest of the version that a command printed, which the store holds and serves."""
    code, out = reply
    assert code == 0, out
    manifest, store = json.loads(out), PolicyStore(tmp_path / "policies")
    assert store.profile(profile).version == manifest["version"]
    store.verify(profile, manifest["version"])
    return manifest


@pytest.mark.parametrize("merged", [False, True], ids=["continued", "merged"])
@pytest.mark.parametrize("architecture", TRAINED)
def test_a_base_is_trained_by_the_commands(fgctl, tmp_path, architecture, merged):
    settings = ("sft.merge=true", "sft.lora.rank=8") if merged else ()
    parent = stored(tmp_path, "sft", fgctl("sft", architecture, settings=settings))
    policy = stored(tmp_path, "medium", fgctl("train", architecture, *POLICY, settings=settings))
    assert (policy["parent"]["version"], policy["steps"]) == (parent["version"], 1)


def test_a_base_that_cannot_be_trained_ends_the_command_with_a_sentence(fgctl, tmp_path):
    code, message = fgctl("sft", "lfm2")
    assert code == 1
    assert re.fullmatch(r"Base model \S+/lfm2 \(lfm2\) cannot be trained: [^\n]+; use another base\.", message)
    assert not list(PolicyStore(tmp_path / "policies").directories())


def test_a_base_that_transformers_cannot_sample_from_stops_before_the_first_step(fgctl, tmp_path):
    stored(tmp_path, "sft", fgctl("sft", "llama4"))
    code, message = fgctl("train", "llama4", *POLICY)
    assert code == 1
    assert re.fullmatch(
        r"transformers cannot sample from base model \S+/llama4 \(llama4_text\) in a batch \([^\n]+\); "
        r"install vLLM, and train with ppo\.rollouts=vllm or server\.",
        message,
    )
    assert not (tmp_path / "train" / "metrics.jsonl").exists()
