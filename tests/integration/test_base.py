"""The embedded base model's conversion, and bases of the user's own."""

import json
import shutil

import pytest
import torch

from policies import base
from rewards.errors import FgctlError


def test_a_half_written_cache_is_rebuilt_to_the_same_model(monkeypatch, tmp_path):
    converted = base.resolve_base()
    shutil.copytree(converted.path, tmp_path / converted.path.name)
    monkeypatch.setenv("FGCTL_CACHE", str(tmp_path))
    made = base.resolve_base()
    assert (made.path.parent, made.digest) == (tmp_path, converted.digest)
    stamp = (made.path / "model.safetensors").stat().st_mtime_ns
    assert base.resolve_base() == made
    assert (made.path / "model.safetensors").stat().st_mtime_ns == stamp
    with (made.path / "model.safetensors").open("r+b") as file:
        file.truncate(1000)
    base.directory_digest.cache_clear()
    assert base.resolve_base() == made
    assert (made.path / "model.safetensors").stat().st_size > 200 << 20
    assert {path.name for path in tmp_path.iterdir()} == {base.DEFAULT_BASE, f"{base.DEFAULT_BASE}.lock"}


def test_a_damaged_package_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("FGCTL_CACHE", str(tmp_path))
    monkeypatch.setattr(base, "_GGUF_SHA256", "0" * 64)
    with pytest.raises(FgctlError, match="reinstall"):
        base.resolve_base()


@pytest.mark.parametrize("name", ["/nowhere", "no/such-model-anywhere", "../..", ""])
def test_a_base_that_is_none_is_refused(monkeypatch, name):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(FgctlError, match=r"--base|config\.json"):
        base.resolve_base(name)


@pytest.fixture(scope="module")
def other_base(tmp_path_factory):
    """Another architecture with another tokenizer and no chat template."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    from rewards.dataset import SAMPLE

    texts = [row["text"] for row in json.loads((SAMPLE / "train.json").read_text())]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    from tokenizers import decoders

    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=["<end>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator(texts, trainer)
    directory = tmp_path_factory.mktemp("gpt")
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>").save_pretrained(directory)
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=len(tokenizer.get_vocab()), n_positions=512, n_embd=32, n_layer=2, n_head=2)
    GPT2LMHeadModel(config).save_pretrained(directory)
    return directory


def test_any_causal_model_trains_from_parent_to_policy(other_base, tmp_path):
    """By the same code, with modules of its own to adapt and transformers sampling."""
    from policies.store import PolicyStore
    from policies.weights import Weights
    from rewards.dataset import SAMPLE
    from rewards.scorer import Scorer
    from trainer.ppo_run import PpoJob, train_policy
    from trainer.recipe import load_recipe
    from trainer.sft import SftJob, train_sft

    resolved = base.resolve_base(str(other_base))
    recipe = load_recipe(
        "smoke", ['lora.target_modules=["c_attn"]', "lora.top_layers=1", "ppo.rollouts=transformers", "ppo.steps=1"]
    )
    store = PolicyStore(tmp_path / "policies")
    data = SAMPLE / "train.json"
    parent = train_sft(SftJob(resolved, data, "smoke", recipe, tmp_path / "sft"), store)
    store.promote("sft", parent.version)
    job = PpoJob("medium", Weights.parse("1,1,1"), resolved, data, "smoke", recipe, tmp_path / "ppo")
    policy = train_policy(job, store, Scorer.load())
    assert policy.base.digest == resolved.digest
    assert policy.parent.version == parent.version
    with pytest.raises(FgctlError, match="was trained on the base"):
        train_policy(PpoJob(**{**vars(job), "base": base.resolve_base()}), store, Scorer.load())
