"""Adapters that were trained elsewhere, or exported, as versions of a profile."""

import json
import shutil

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from policies.errors import BrokenPolicy
from policies.exchange.exporting import export_policy
from policies.exchange.importing import import_policy
from policies.exchange.places import Directory, place
from policies.names import SFT
from policies.store import PolicyStore
from policies.trunk import policy_files
from policies.weights import Weights
from rewards.errors import FgctlError

WEIGHTS = Weights.parse("0.3,0.5,0.2")


@pytest.fixture
def store(tmp_path):
    return PolicyStore(tmp_path / "policies")


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"use_rslora": True},
        {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"down_proj": 3}, "use_rslora": True},
        {"target_modules": r".*\.1\.self_attn\.[qv]_proj"},
    ],
    ids=["plain", "rslora", "patterns", "expression"],
)
def test_an_adapter_trained_elsewhere_answers_as_it_did_there(tiny, peft_adapter, store, logprobs, config):
    trained, directory = peft_adapter(**config)
    stored = import_policy(store, Directory(directory), "polite", WEIGHTS, str(tiny.path))
    assert (stored.weights, stored.base.digest, stored.parent) == (WEIGHTS, tiny.digest, None)
    assert stored.recipe["imported"]["from"] == str(directory)
    assert stored.recipe["imported"]["lora_alpha"] == 8
    model = AutoModelForCausalLM.from_pretrained(tiny.path, dtype=torch.float32)
    served = PeftModel.from_pretrained(model, store.usable("polite", stored.version))
    assert torch.equal(logprobs(served), logprobs(trained))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"use_dora": True}, r"is DoRA, which rescales the base's weights too \(use_dora\)"),
        ({"modules_to_save": ["lm_head"]}, r"replaces whole modules \(modules_to_save\)"),
        ({"bias": "lora_only"}, "has biases"),
        ({"trainable_token_indices": [1]}, "embeddings of single tokens"),
    ],
)
def test_what_cannot_be_served_exactly_is_refused(tiny, peft_adapter, store, config, message):
    _, directory = peft_adapter(**config)
    with pytest.raises(BrokenPolicy, match=message):
        import_policy(store, Directory(directory), "polite", WEIGHTS, str(tiny.path))
    assert store.stored_profiles() == []


def test_an_exported_policy_comes_back_as_the_same_version_with_its_lineage(tiny, peft_adapter, store, write_adapter):
    _, adapter = peft_adapter()
    lineage = {"steps": 3, "data": ({"name": "train.json", "digest": "d"},), "recipe": {"name": "cpu"}}
    version = write_adapter(store, "medium", adapter, tiny, "0.3,0.5,0.2", scores={"n": 1}, **lineage).version
    out = store.root.parent / "out"
    export_policy(store, "medium", version, Directory(out), base=str(tiny.path))
    other = PolicyStore(store.root.parent / "other")
    stored = import_policy(other, Directory(out), "medium", WEIGHTS, str(tiny.path))
    assert (stored.version, stored.steps, stored.data[0].name, stored.scores) == (version, 3, "train.json", {})
    assert stored.recipe["name"] == "cpu"
    assert import_policy(store, Directory(out), "medium", WEIGHTS, str(tiny.path)) == store.manifest("medium", version)


def test_policies_on_a_trunk_come_back_to_its_parent(tiny, trunk_store, on_trunk, peft_adapter, logprobs, tmp_path):
    out, base = tmp_path / "out", str(tiny.path)
    export_policy(trunk_store, "medium", on_trunk, Directory(out), base=base)
    parent = trunk_store.profile(SFT).version
    export_policy(trunk_store, SFT, parent, Directory(tmp_path / "parent"), base=base)
    other = PolicyStore(tmp_path / "other")
    with pytest.raises(FgctlError, match=f"import and promote sft@{parent} first"):
        import_policy(other, Directory(out), "medium", WEIGHTS, base)
    imported = import_policy(other, Directory(tmp_path / "parent"), SFT, None, base)
    assert imported.merged
    other.promote(SFT, imported.version)
    stored = import_policy(other, Directory(out), "medium", WEIGHTS, base)
    assert stored.on_trunk
    _, trained = peft_adapter("later", 6, out / "trunk")  # by somebody who has the trunk alone
    later = import_policy(trunk_store, Directory(trained), "later", WEIGHTS, base)
    assert later.base == trunk_store.manifest("medium", on_trunk).base
    assert later.parent.version == parent
    files = policy_files(tiny, trunk_store, "later", later.version)
    trunk = AutoModelForCausalLM.from_pretrained(files.model.path, dtype=torch.float32)
    expected = AutoModelForCausalLM.from_pretrained(out / "trunk", dtype=torch.float32)
    measured = logprobs(PeftModel.from_pretrained(trunk, files.adapter))
    assert torch.equal(measured, logprobs(PeftModel.from_pretrained(expected, trained)))


def test_an_adapter_of_another_base_is_refused(tiny, peft_adapter, store, monkeypatch):
    monkeypatch.setattr("policies.exchange.importing.resolve_base", lambda base: tiny)
    _, directory = peft_adapter()
    config = directory / "adapter_config.json"
    content = json.loads(config.read_text())
    config.write_text(json.dumps(content | {"base_model_name_or_path": "them/Llama-9"}))
    with pytest.raises(FgctlError, match="trained on them/Llama-9, and the policies here on tiny; name its base"):
        import_policy(store, Directory(directory), "polite", WEIGHTS)
    config.write_text(json.dumps(content | {"base_model_name_or_path": "us/Tiny"}))
    assert import_policy(store, Directory(directory), "polite", WEIGHTS).base.name == "tiny"


def test_weights_are_named_but_for_the_parent(tiny, peft_adapter, store):
    _, directory = peft_adapter()
    with pytest.raises(FgctlError, match="Name the weights that polite was trained for"):
        import_policy(store, Directory(directory), "polite", None, str(tiny.path))
    with pytest.raises(FgctlError, match="leave out --weights"):
        import_policy(store, Directory(directory), SFT, WEIGHTS, str(tiny.path))


def test_what_is_no_adapter_is_refused_in_a_sentence(tiny, peft_adapter, store, tmp_path):
    _, directory = peft_adapter()
    with pytest.raises(FgctlError, match="is not a directory"):
        import_policy(store, place(str(tmp_path / "nothing")), "polite", WEIGHTS, str(tiny.path))
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        broken = tmp_path / f"without {name}"
        shutil.copytree(directory, broken)
        (broken / name).unlink()
        with pytest.raises(FgctlError, match=f"has no {name}; name a directory that PEFT's save_pretrained wrote"):
            import_policy(store, Directory(broken), "polite", WEIGHTS, str(tiny.path))
    config = json.loads((directory / "adapter_config.json").read_text())
    (directory / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": 5}))
    with pytest.raises(FgctlError, match="base_model_name_or_path is 5, which names no base"):
        import_policy(store, Directory(directory), "polite", WEIGHTS, str(tiny.path))
    (directory / "adapter_config.json").write_text("{")
    with pytest.raises(FgctlError, match="cannot be read"):
        import_policy(store, Directory(directory), "polite", WEIGHTS, str(tiny.path))
