"""Supervised fine-tuning and a PPO step on random bases of many architectures, with transformers sampling."""

from types import SimpleNamespace

import pytest
import torch

from policies.store import PolicyStore
from policies.trunk import policy_files
from policies.weights import Weights
from rewards.categories import BUILT_IN
from rewards.dataset import SAMPLE, Example
from rewards.errors import FgctlError
from rewards.scores import CategoryScores, ScoredResponse
from trainer.bases.parent_shape import parent_shape
from trainer.policy_model import PolicyModel
from trainer.ppo import PpoTrainer
from trainer.recipe import load_recipe
from trainer.rollouts.transformers import TransformersSampler
from trainer.sft import SftJob, train_sft

TRAINED = (
    "llama mistral qwen2 gemma2 gemma3 phi3 opt gpt2 gptj gpt_neox falcon starcoder2 olmo3 gpt_oss mixtral".split()
)
RECIPE = [
    *("lora.top_layers=1", "sft.max_examples=2", "sft.max_prompt_tokens=200", "sft.max_response_tokens=300"),
    *("ppo.prompts_per_step=1", "ppo.max_prompt_tokens=200", "ppo.max_new_tokens=24", "ppo.logprob_tolerance=1e-3"),
]


def score(requests):
    """Responses with more letters earn more."""
    rewards = [sum(map(str.isalpha, request.response)) / 10 for request in requests]
    return [ScoredResponse(dict.fromkeys(BUILT_IN, CategoryScores((), (), reward))) for reward in rewards]


@pytest.mark.parametrize("architecture", TRAINED)
def test_a_base_trains_from_parent_to_policy(make_base, architecture, tmp_path):
    base, store = make_base(architecture), PolicyStore(tmp_path / "policies")
    recipe = load_recipe("smoke", RECIPE)
    parent = train_sft(SftJob(base, SAMPLE / "train.json", "smoke", recipe, tmp_path / "run"), store)
    path = store.verify("sft", parent.version)
    lora = parent_shape(recipe.lora, path, base)
    take_a_step(PolicyModel(base, lora, path, recipe.ppo.temperature, dtype=torch.float32), recipe)


@pytest.mark.parametrize("architecture", TRAINED)
def test_a_base_trains_from_a_parent_that_is_merged_into_it(make_base, architecture, tmp_path, monkeypatch):
    """As recipes `cpu` and `gpu` train it: all linear modules of the parent, attention of the policy."""
    monkeypatch.setenv("FGCTL_CACHE", str(tmp_path / "cache"))
    base, store = make_base(architecture), PolicyStore(tmp_path / "policies")
    recipe = load_recipe("smoke", [*RECIPE, "sft.merge=true", "sft.lora.rank=8"])
    parent = train_sft(SftJob(base, SAMPLE / "train.json", "smoke", recipe, tmp_path / "run"), store)
    trunk = policy_files(base, store, "sft", parent.version).model
    model = PolicyModel(trunk, recipe.lora, None, recipe.ppo.temperature, dtype=torch.float32)
    path = store.verify("sft", parent.version)
    unmerged = PolicyModel(base, recipe.lora, path, recipe.ppo.temperature, dtype=torch.float32)
    assert (model.logprobs(range(40, 80)) - unmerged.logprobs(range(40, 80))).abs().max() < 1e-3
    take_a_step(model, recipe)


def take_a_step(model, recipe):
    scorer = SimpleNamespace(categories=BUILT_IN, score=score)
    examples = [Example(question="Is it?", passages=(), answer="Yes.")]
    trainer = PpoTrainer(model, scorer, Weights.parse("1,1,1"), recipe, examples)
    metrics = trainer.step(0, TransformersSampler(model))
    assert metrics["sampler/logprob_gap"] < 1e-3
    assert metrics["policy/skipped"] == 0


@pytest.mark.parametrize("architecture", ["lfm2", "bloom"])
def test_a_base_that_cannot_be_trained_stops_before_anything_is_stored(make_base, architecture, tmp_path):
    store, recipe = PolicyStore(tmp_path / "policies"), load_recipe("smoke", RECIPE)
    with pytest.raises(FgctlError, match=rf"^Base model {architecture} \({architecture}\) cannot be trained: "):
        train_sft(SftJob(make_base(architecture), SAMPLE / "train.json", "smoke", recipe, tmp_path / "run"), store)
    assert not list(store.directories())


@pytest.mark.parametrize(
    ("modules", "reason"),
    [
        ("attention", "has no module of attention for an adapter; its linear modules are"),
        ("all-linear", "cannot have an adapter on dt_proj, in_proj, out_proj, x_proj ("),
        ('["in_proj"]', "(mamba) cannot be trained: "),
    ],
)
def test_a_base_without_attention_is_refused_whatever_modules_are_asked_for(make_base, tmp_path, modules, reason):
    store, settings = PolicyStore(tmp_path / "policies"), [*RECIPE, f"lora.target_modules={modules}"]
    recipe = load_recipe("smoke", settings)
    with pytest.raises(FgctlError) as refused:
        train_sft(SftJob(make_base("mamba"), SAMPLE / "train.json", "smoke", recipe, tmp_path / "run"), store)
    assert f"Base model mamba {reason}" in str(refused.value)
    assert not list(store.directories())
