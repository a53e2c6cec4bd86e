"""Exported policies, loaded by plain PEFT."""

import json
import socket
from functools import partial

import pytest
import torch
from huggingface_hub import HfApi, ModelCard
from peft import AutoPeftModelForCausalLM, PeftModel
from safetensors import safe_open
from transformers import AutoModelForCausalLM

from policies.exchange.exporting import DEFAULT_ON_HUB, export_policy
from policies.exchange.places import place
from policies.mixing import MIXTURE, anchors, mixture_for, store_mixture
from policies.store import PolicyStore
from policies.trunk import policy_files
from policies.weights import Weights
from rewards.errors import FgctlError

WEIGHTS = "0.3,0.5,0.2"


def load(directory):
    return AutoPeftModelForCausalLM.from_pretrained(directory, dtype=torch.float32)


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"use_rslora": True},
        {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"down_proj": 3}},
    ],
    ids=["plain", "rslora", "patterns"],
)
def test_plain_peft_loads_an_exported_policy_and_answers_the_same(
    tiny, peft_adapter, write_adapter, logprobs, tmp_path, config
):
    trained, adapter = peft_adapter(**config)
    store = PolicyStore(tmp_path / "policies")
    version = write_adapter(store, "medium", adapter, tiny, WEIGHTS).version
    exported = export_policy(store, "medium", version, place(str(tmp_path / "out")), base=str(tiny.path))
    assert exported.base_model == str(tiny.path)
    assert torch.equal(logprobs(load(tmp_path / "out")), logprobs(trained))


def test_a_mixture_is_exported_like_any_version(tiny, peft_adapter, write_adapter, logprobs, tmp_path):
    store = PolicyStore(tmp_path / "policies")
    for seed, weights in enumerate(("1,0,0", "0,1,0")):
        _, adapter = peft_adapter(f"anchor-{seed}", seed)
        profile = ("brief", "factual")[seed]
        store.promote(profile, write_adapter(store, profile, adapter, tiny, weights).version)
    stored = store_mixture(store, mixture_for(Weights.parse("1,1,0"), anchors(store, tiny.digest)))
    export_policy(store, MIXTURE, stored.version, place(str(tmp_path / "out")), base=str(tiny.path))
    with safe_open(tmp_path / "out" / "adapter_model.safetensors", framework="pt") as file:
        assert file.metadata() == {"format": "pt"}
    model = AutoModelForCausalLM.from_pretrained(tiny.path, dtype=torch.float32)
    expected = logprobs(PeftModel.from_pretrained(model, store.path(MIXTURE, stored.version)))
    assert torch.equal(logprobs(load(tmp_path / "out")), expected)


def test_a_policy_on_a_trunk_brings_the_trunk(tiny, trunk_store, on_trunk, logprobs, tmp_path):
    exported = export_policy(trunk_store, "medium", on_trunk, place(str(tmp_path / "out")), base=str(tiny.path))
    assert exported.trunk == exported.base_model == str(tmp_path / "out" / "trunk")
    files = policy_files(tiny, trunk_store, "medium", on_trunk)
    trunk = AutoModelForCausalLM.from_pretrained(files.model.path, dtype=torch.float32)
    expected = logprobs(PeftModel.from_pretrained(trunk, files.adapter))
    assert torch.equal(logprobs(load(tmp_path / "out")), expected)
    base = AutoModelForCausalLM.from_pretrained(tiny.path, dtype=torch.float32)
    assert (logprobs(PeftModel.from_pretrained(base, files.adapter)) - expected).abs().max() > 0.1


def test_a_trunk_that_is_elsewhere_already_is_not_exported(tiny, trunk_store, on_trunk, tmp_path):
    exported = export_policy(trunk_store, "medium", on_trunk, place(str(tmp_path / "out")), base_model="us/trunk")
    assert (exported.base_model, exported.trunk) == ("us/trunk", None)
    assert not (tmp_path / "out" / "trunk").exists()
    assert json.loads((tmp_path / "out" / "adapter_config.json").read_text())["base_model_name_or_path"] == "us/trunk"


def test_the_card_has_the_front_matter_that_the_hub_reads(tiny, peft_adapter, write_adapter, tmp_path):
    _, adapter = peft_adapter()
    store = PolicyStore(tmp_path / "policies")
    version = write_adapter(
        store, "medium", adapter, tiny, WEIGHTS, data=({"name": "train.json", "digest": "d"},), steps=3,
        recipe={"name": "cpu"}, scores={"rouge_lsum": 35.5},
    ).version  # fmt: skip
    export_policy(store, "medium", version, place(str(tmp_path / "out")), base_model="us/base", licence="mit")
    card = ModelCard.load(tmp_path / "out" / "README.md", ignore_metadata_errors=False)
    assert (card.data.base_model, card.data.library_name, card.data.license) == ("us/base", "peft", "mit")
    assert (card.data.datasets, card.data.pipeline_tag) == (["train.json"], "text-generation")
    assert card.data.metrics == ["rouge", "relevance", "factuality", "completeness"]
    assert card.data["fgctl"] == {
        "profile": "medium", "version": version, "rewards": None, "parent": None,
        "weights": {"relevance": 0.3, "factuality": 0.5, "completeness": 0.2},
    }  # fmt: skip
    assert "| ROUGE-Lsum | 35.5 |" in card.text
    assert '"name": "cpu"' in card.text
    assert f"--max-lora-rank 16 \\\n    --lora-modules medium-{version}=" in card.text


def test_nothing_is_overwritten_and_nothing_half_is_left(tiny, peft_adapter, write_adapter, tmp_path, monkeypatch):
    _, adapter = peft_adapter()
    store = PolicyStore(tmp_path / "policies")
    version = write_adapter(store, "medium", adapter, tiny, WEIGHTS).version
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine").write_text("")
    with pytest.raises(FgctlError, match="exists already"):
        export_policy(store, "medium", version, place(str(out)), base_model="us/base")
    monkeypatch.setattr("policies.exchange.exporting.hub_card", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export_policy(store, "medium", version, place(str(tmp_path / "new")), base_model="us/base")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "out", "policies"]


def test_a_trunk_on_the_hub_has_a_repository_of_its_own(tiny, trunk_store, on_trunk, tmp_path, monkeypatch):
    uploads = {}

    def upload(self, *, repo_id, folder_path, commit_message):
        names = {str(path.relative_to(folder_path)) for path in folder_path_files(folder_path)}
        uploads[repo_id] = names

    def folder_path_files(folder):
        from pathlib import Path

        return [path for path in Path(folder).rglob("*") if path.is_file()]

    monkeypatch.setattr(HfApi, "create_repo", lambda self, name, exist_ok: None)
    monkeypatch.setattr(HfApi, "upload_folder", upload)
    exported = export_policy(trunk_store, "medium", on_trunk, place("hf://us/medium"), base=str(tiny.path))
    assert exported.base_model == "us/medium-trunk"
    assert uploads["us/medium"] == {"adapter_model.safetensors", "adapter_config.json", "policy.json", "README.md"}
    assert {"model.safetensors", "config.json", "tokenizer.json", "fgctl-trunk.json"} <= uploads["us/medium-trunk"]


def test_a_hub_that_refuses_is_one_sentence(tiny, peft_adapter, write_adapter, tmp_path, monkeypatch):
    def refuse(self, name, exist_ok):
        raise OSError("401 Client Error\nmore")

    _, adapter = peft_adapter()
    store = PolicyStore(tmp_path / "policies")
    version = write_adapter(store, "medium", adapter, tiny, WEIGHTS).version
    monkeypatch.setattr(HfApi, "create_repo", refuse)
    with pytest.raises(FgctlError, match=r"does not take us/medium \(401 Client Error\); check its name"):
        export_policy(store, "medium", version, place("hf://us/medium"), base_model="us/base")
    with pytest.raises(FgctlError, match="is a directory of this machine; name the model on the Hub"):
        export_policy(store, "medium", version, place("hf://us/medium"), base=str(tiny.path))


@pytest.mark.parametrize("name", ["us/me--dium", "us/medium"])
def test_a_name_that_the_hub_cannot_have_and_a_hub_that_is_away_are_one_sentence(name, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setattr(
            "huggingface_hub.HfApi", partial(HfApi, endpoint=f"http://127.0.0.1:{free.getsockname()[1]}")
        )
    with pytest.raises(FgctlError, match=f"The Hub does not take {name}"):
        place(f"hf://{name}").put(lambda directory: None)


def test_the_default_base_has_its_name_on_the_hub(write_policy, tmp_path, monkeypatch):
    from policies.manifest import Named

    store = PolicyStore(tmp_path / "policies")
    base = Named(name="smollm2-135m-instruct", digest="b" * 64)
    version = write_policy(store, base=base).version
    monkeypatch.setattr(HfApi, "create_repo", lambda self, name, exist_ok: None)
    monkeypatch.setattr(HfApi, "upload_folder", lambda self, **_: None)
    assert export_policy(store, "medium", version, place("hf://us/medium")).base_model == DEFAULT_ON_HUB


def test_a_file_in_the_way_of_a_place_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FgctlError, match=r"file is a file, so .* cannot be made; name another directory"):
        place(str(tmp_path / "file" / "out" / "medium")).require_free()
    place(str(tmp_path / "out" / "medium")).require_free()
    with pytest.raises(FgctlError, match="/ exists already"):
        place("/").require_free()


@pytest.mark.parametrize("text", ["hf://", "hf://medium", "hf://a/b/c", "hf://a/b?c"])
def test_a_place_on_the_hub_names_its_owner(text):
    with pytest.raises(FgctlError, match="write hf://ORGANISATION/NAME"):
        place(text)
