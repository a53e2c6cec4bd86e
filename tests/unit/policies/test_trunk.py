"""Merging a parent into a base, on a random model of two layers."""

import json
import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from policies import trunk
from policies.adapters.lora import LoraAdapter
from policies.base import BaseModel
from policies.manifest import Named, Versioned
from policies.store import ADAPTER, SFT, BrokenPolicy
from policies.trunk import PolicyFiles, merge, policy_files, trunk_name, trunk_of, trunks
from policies.verification import absent_bases, problem
from rewards.dataset import file_digest
from rewards.errors import FgctlError

WEIGHTS = "0.3,0.5,0.2"


@pytest.fixture
def merges(monkeypatch):
    """The directories that parents were merged into."""
    made = []
    monkeypatch.setattr(trunk, "merge", lambda *arguments: made.append(arguments[2]) or merge(*arguments))
    return made


@pytest.fixture
def write_on_trunk(trunk_store, tiny_parents, write_adapter):
    """Stores a policy of the trunk of a version of the parent, by default of the current one."""

    def write(profile="medium", parent=None, adapter=tiny_parents[1]):
        version = parent or trunk_store.profile(SFT).version
        named, origin = trunk_name(trunk_store, version), parent_of(trunk_store, version)
        return write_adapter(trunk_store, profile, adapter, named, WEIGHTS, parent=origin).version

    return write


def parent_of(store, version):
    return Versioned(version=version, digest=file_digest(store.path(SFT, version) / ADAPTER))


def logits(model):
    with torch.inference_mode():
        return model.eval()(torch.arange(40)[None]).logits


def test_a_trunk_is_the_base_with_the_parents_adapter(tiny, tiny_parents, trunk_store):
    merged = trunk_of(tiny, trunk_store)
    plain = AutoModelForCausalLM.from_pretrained(tiny.path, dtype=torch.float32)
    before = logits(plain)
    expected = logits(PeftModel.from_pretrained(plain, tiny_parents[0]))
    actual = logits(AutoModelForCausalLM.from_pretrained(merged.path, dtype=torch.float32))
    assert (actual - expected).abs().max() < 1e-3
    assert (before - expected).abs().max() > 0.1
    texts = [AutoTokenizer.from_pretrained(model.path)("Where?")["input_ids"] for model in (tiny, merged)]
    assert texts[0] == texts[1]


def test_its_digest_depends_on_base_and_parent_alone(
    tiny, tiny_parents, trunk_store, write_adapter, monkeypatch, tmp_path
):
    first = trunk_of(tiny, trunk_store)
    version = trunk_store.profile(SFT).version
    assert first.name == f"tiny+sft@{version}"
    assert Named(name=first.name, digest=first.digest) == trunk_name(trunk_store, version)
    monkeypatch.setenv("FGCTL_CACHE", str(tmp_path / "elsewhere"))
    again = trunk_of(tiny, trunk_store)
    assert (again.digest, again.path == first.path) == (first.digest, False)
    other = write_adapter(trunk_store, SFT, tiny_parents[1], tiny, merged=True).version
    assert trunk_name(trunk_store, other).digest != first.digest


def test_it_is_made_once_even_if_several_ask_for_it_at_a_time(tiny, trunk_store, merges):
    with ThreadPoolExecutor(4) as pool:
        models = list(pool.map(lambda _: trunk_of(tiny, trunk_store), range(8)))
    assert len(set(models)) == len(merges) == 1
    assert {path.name for path in models[0].path.parent.iterdir()} == {
        models[0].path.name,
        f"{models[0].path.name}.lock",
    }


@pytest.mark.parametrize("damage", ["cut", "unmarked", "touched", "missing"])
def test_a_damaged_trunk_is_made_again(tiny, trunk_store, merges, damage):
    made = trunk_of(tiny, trunk_store)
    weights = made.path / "model.safetensors"
    content = weights.read_bytes()
    if damage == "cut":
        weights.write_bytes(content[:1000])
    elif damage == "unmarked":
        (made.path / "fgctl-base.json").unlink()
    elif damage == "touched":
        os.utime(weights, (1, 1))
    else:
        weights.unlink()
    assert trunk_of(tiny, trunk_store) == made
    assert weights.read_bytes() == content
    assert len(merges) == 2


def test_a_merge_that_was_interrupted_leaves_nothing(tiny, trunk_store, monkeypatch):
    def fail(base, adapter, directory):
        (directory / "model.safetensors").write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(trunk, "merge", fail)
        with pytest.raises(KeyboardInterrupt):
            trunk_of(tiny, trunk_store)
    made = trunk_of(tiny, trunk_store)
    assert len(list(made.path.parent.iterdir())) == 2
    assert load_file(made.path / "model.safetensors")


def test_in_an_image_it_is_found_beside_the_base(tiny, trunk_store, merges, monkeypatch, tmp_path):
    """Whose layers keep whole seconds of its files' times."""
    image = tmp_path / "image"
    shutil.copytree(tiny.path, image / "tiny")
    base = BaseModel(str(image / "tiny"), image / "tiny", tiny.digest)
    monkeypatch.setenv("FGCTL_CACHE", str(image))
    made = trunk_of(base, trunk_store)
    for file in made.path.iterdir():
        os.utime(file, (int(file.stat().st_mtime),) * 2)
    monkeypatch.setenv("FGCTL_CACHE", str(tmp_path / "home"))
    assert trunk_of(base, trunk_store) == made
    assert len(merges) == 1


def test_weights_keep_their_files_and_precision(tmp_path, tiny_parents):
    """By hand: W + 2 B A, in the files that the index lists, and transposed where the base stores W so."""
    base, directory, adapter = (tmp_path / name for name in ("base", "trunk", "adapter"))
    for made in (base, directory, adapter):
        made.mkdir()
    save_file({"h.0.c.weight": torch.ones(3, 2).bfloat16()}, base / "a.safetensors", {"format": "pt"})
    save_file({"h.1.weight": torch.ones(1)}, base / "b.safetensors", {"format": "pt"})
    save_file({"h.0.c.weight": torch.zeros(3, 2)}, base / "unlisted.safetensors")
    index = {"weight_map": {"h.0.c.weight": "a.safetensors", "h.1.weight": "b.safetensors"}}
    (base / "model.safetensors.index.json").write_text(json.dumps(index))
    (base / "pytorch_model.bin").write_bytes(b"")
    down, up = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[1.0], [-1.0]])
    tensors = {"base_model.model.h.0.c.lora_A.weight": down, "base_model.model.h.0.c.lora_B.weight": up}
    save_file(tensors, adapter / ADAPTER)
    shape = {"peft_type": "LORA", "r": 1, "lora_alpha": 2, "target_modules": ["c"], "fan_in_fan_out": True}
    (adapter / "adapter_config.json").write_text(json.dumps(shape))
    merge(base, LoraAdapter(adapter), directory)
    assert {path.name for path in directory.iterdir()} == {
        "a.safetensors", "b.safetensors", "model.safetensors.index.json",
    }  # fmt: skip
    merged = load_file(directory / "a.safetensors")["h.0.c.weight"]
    assert merged.dtype == torch.bfloat16
    assert merged.tolist() == [[3, -1], [5, -3], [7, -5]]
    assert torch.equal(load_file(directory / "b.safetensors")["h.1.weight"], torch.ones(1))


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"model.embed_tokens.weight": torch.ones(2)}, "has no weights"),
        ({"model.layers.0.mlp.down_proj.weight": torch.ones(32, 32).to(torch.float8_e4m3fn)}, "quantized"),
        (None, "has no safetensors"),
    ],
)
def test_a_base_that_nothing_can_be_merged_into_is_refused(tmp_path, tiny_parents, tensors, message):
    if tensors is not None:
        save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(FgctlError, match=message) as error:
        merge(tmp_path, LoraAdapter(tiny_parents[0]), tmp_path)
    assert "sft.merge=false" in str(error.value)


def test_weights_of_a_bare_decoder_are_found(tiny, tiny_parents, tmp_path):
    """As those of GPT-2 on the hub, whose names lack the prefix of the decoder."""
    whole, bare = tmp_path / "whole", tmp_path / "bare"
    shutil.copytree(tiny.path, bare)
    weights = load_file(bare / "model.safetensors")
    renamed = {name.removeprefix("model."): tensor for name, tensor in weights.items()}
    save_file(renamed, bare / "model.safetensors", {"format": "pt"})
    for base, directory in ((tiny.path, whole), (bare, tmp_path / "merged")):
        directory.mkdir()
        merge(base, LoraAdapter(tiny_parents[0]), directory)
    expected, merged = load_file(whole / "model.safetensors"), load_file(tmp_path / "merged" / "model.safetensors")
    assert all(torch.equal(tensor, merged[name.removeprefix("model.")]) for name, tensor in expected.items())
    assert not torch.equal(merged["layers.0.mlp.up_proj.weight"], renamed["layers.0.mlp.up_proj.weight"])


@pytest.fixture
def narrow(tiny_parents, tmp_path):
    """An adapter whose update of one module is narrower than that base's."""
    directory = tmp_path / "narrow"
    shutil.copytree(tiny_parents[0], directory)
    tensors = load_file(directory / ADAPTER)
    name = "base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight"
    save_file(tensors | {name: tensors[name][:, :16].contiguous()}, directory / ADAPTER)
    return directory


def test_a_parent_that_fails_the_check_of_adapters_is_not_merged(tiny, narrow, tmp_path):
    with pytest.raises(BrokenPolicy, match=r"q_proj has an update of \[32, 16\], but a shape of \[32, 32\]"):
        merge(tiny.path, LoraAdapter(narrow), tmp_path / "trunk")


def test_adapters_on_a_trunk_are_compared_with_the_base_that_it_is_made_of(
    tiny, tiny_parents, trunk_store, write_adapter, narrow
):
    here = BaseModel(str(tiny.path), tiny.path, tiny.digest)
    parent = write_adapter(trunk_store, SFT, tiny_parents[1], here, merged=True).version
    lineage = trunk_name(trunk_store, parent), WEIGHTS
    sound, spoilt = (
        write_adapter(trunk_store, "medium", adapter, *lineage, parent=parent_of(trunk_store, parent)).version
        for adapter in (tiny_parents[0], narrow)
    )
    trunk_store.promote("medium", sound)
    with pytest.raises(BrokenPolicy, match=r"q_proj has an update of \[32, 16\], but a shape of \[32, 32\]"):
        trunk_store.promote("medium", spoilt)
    assert problem(trunk_store, "medium", sound) is None
    assert "has an update of" in problem(trunk_store, "medium", spoilt)
    assert absent_bases(trunk_store, [(SFT, parent), ("medium", sound)]) == []


def test_what_to_load_for_each_version(tiny, tiny_parents, trunk_store, write_adapter, write_on_trunk, merges):
    old = write_adapter(trunk_store, "short", tiny_parents[1], tiny, WEIGHTS).version
    unmerged = write_adapter(trunk_store, SFT, tiny_parents[1], tiny).version
    new, merged = write_on_trunk(), trunk_store.profile(SFT).version
    assert policy_files(tiny, trunk_store, "short", old) == PolicyFiles(tiny, trunk_store.path("short", old))
    assert policy_files(tiny, trunk_store, SFT, unmerged) == PolicyFiles(tiny, trunk_store.path(SFT, unmerged))
    assert merges == []
    made = policy_files(tiny, trunk_store, SFT, merged)
    assert made.adapter is None
    assert policy_files(tiny, trunk_store, "medium", new) == PolicyFiles(made.model, trunk_store.path("medium", new))
    assert [problem(trunk_store, *policy) for policy in (("short", old), (SFT, merged), ("medium", new))] == [None] * 3


def test_a_policy_of_another_trunk_is_refused(tiny, tiny_parents, trunk_store, write_adapter, write_on_trunk):
    mine = trunk_name(trunk_store, trunk_store.profile(SFT).version)
    other = write_adapter(trunk_store, SFT, tiny_parents[1], tiny, merged=True).version
    policy = write_on_trunk(parent=other)
    assert trunk_store.verify("medium", policy, trunk_name(trunk_store, other))
    own = trunk_name(trunk_store, other)
    with pytest.raises(BrokenPolicy, match=re.escape(f"trained on the base {own.short}, not on this {mine.short}")):
        trunk_store.verify("medium", policy, mine)
    with pytest.raises(BrokenPolicy, match="not on this tiny"):
        trunk_store.verify("medium", policy, Named(name=tiny.name, digest=tiny.digest))
    foreign = BaseModel("foreign", tiny.path, "f" * 64)
    with pytest.raises(BrokenPolicy, match="not on this foreign"):
        policy_files(foreign, trunk_store, "medium", policy)


def test_a_policy_that_names_another_trunk_than_its_parents_is_found(tiny, tiny_parents, trunk_store, write_adapter):
    parent = trunk_store.profile(SFT).version
    origin = parent_of(trunk_store, parent)
    version = write_adapter(trunk_store, "medium", tiny_parents[1], tiny, WEIGHTS, parent=origin).version
    assert problem(trunk_store, "medium", version) == (
        f"medium@{version} was trained on 'tiny', but sft@{parent}, its parent, belongs to 'tiny+sft@{parent}'; "
        f"train it again."
    )


def test_a_new_parent_changes_nothing_for_a_service_before_its_policies_are_promoted(
    tiny, tiny_parents, trunk_store, write_adapter, write_on_trunk
):
    first = trunk_of(tiny, trunk_store)
    trunk_store.promote("medium", write_on_trunk())
    other = write_adapter(trunk_store, SFT, tiny_parents[1], tiny, merged=True).version
    trunk_store.promote(SFT, other)
    assert trunk_of(tiny, trunk_store) == first
    assert [model.name for model in trunks(tiny, trunk_store)] == [first.name, f"tiny+sft@{other}"]
    trunk_store.promote("medium", write_on_trunk(parent=other, adapter=tiny_parents[0]), force=True)
    assert [model.name for model in trunks(tiny, trunk_store)] == [f"tiny+sft@{other}"]


def test_without_a_merged_parent_the_trunk_is_the_base(tiny, tiny_parents, trunk_store, write_adapter, merges):
    trunk_store.promote(SFT, write_adapter(trunk_store, SFT, tiny_parents[1], tiny).version)
    assert trunk_of(tiny, trunk_store) is tiny
    assert trunks(tiny, trunk_store) == merges == []
    foreign = BaseModel("foreign", tiny.path, "f" * 64)
    assert trunk_of(foreign, trunk_store) is foreign


@pytest.mark.parametrize("damage", ["removed", "changed"])
def test_a_broken_merged_parent_is_named_instead_of_falling_back_to_the_base(tiny, trunk_store, write_on_trunk, damage):
    policy, parent = write_on_trunk(), trunk_store.profile(SFT).version
    trunk_store.promote("medium", policy)
    directory = trunk_store.path(SFT, parent)
    if damage == "removed":
        shutil.rmtree(directory)
        message = f"Policy sft@{parent} is not stored"
    else:
        save_file({"x": torch.ones(1)}, directory / ADAPTER)
        message = f"sft@{parent}: the adapter is missing or changed since it was stored; restore it."
    for look in (trunk_of, trunks):
        with pytest.raises(BrokenPolicy, match=f"^{re.escape(message)}"):
            look(tiny, trunk_store)
    with pytest.raises(
        BrokenPolicy, match=rf"^medium@{policy} .* that parent, sft@{parent}, is missing or broken; res"
    ):
        trunk_store.verify("medium", policy, Named(name=tiny.name, digest=tiny.digest))


def test_a_broken_parent_does_not_stop_what_needs_none(tiny, tiny_parents, trunk_store, write_adapter):
    plain = write_adapter(trunk_store, "medium", tiny_parents[1], tiny, WEIGHTS).version
    trunk_store.promote("medium", plain)
    shutil.rmtree(trunk_store.path(SFT, trunk_store.profile(SFT).version))
    assert trunk_of(tiny, trunk_store) is tiny
