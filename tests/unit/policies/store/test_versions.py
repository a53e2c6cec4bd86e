import json
import shutil

import pytest
import torch
from safetensors.torch import save_file

from policies.manifest import Named
from policies.store import BrokenPolicy, PolicyStore, versions
from policies.weights import Weights
from rewards.errors import FgctlError

BASE = Named(name="base", digest="b" * 64)


@pytest.fixture
def store(tmp_path):
    return PolicyStore(tmp_path / "policies")


def adapter(tmp_path, name="weights"):
    """A small adapter; another name has other weights."""
    directory = tmp_path / f"adapter-{name}"
    directory.mkdir()
    module, value = "base_model.model.model.layers.0.q_proj", float(sum(name.encode()))
    tensors = {f"{module}.lora_A.weight": torch.full((1, 2), value), f"{module}.lora_B.weight": torch.ones(2, 1)}
    save_file(tensors, directory / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 1, "lora_alpha": 1, "target_modules": ["q_proj"]}
    (directory / "adapter_config.json").write_text(json.dumps(config))
    return directory


def manifest(weights="0.3,0.5,0.3"):
    return {
        "weights": Weights.parse(weights),
        "base": BASE,
        "parent": None,
        "recipe": {"name": "smoke"},
        "data": (),
        "rewards": None,
        "steps": 2,
        "episodes": 8,
        "scores": {},
    }


def test_a_written_policy_can_be_promoted_verified_and_read(store, tmp_path):
    written = store.write("medium", adapter(tmp_path), manifest())
    assert store.versions("medium") == [written.version]
    store.promote("medium", written.version)
    profile = store.profile("medium")
    assert profile.version == written.version
    assert profile.weights["relevance"] == pytest.approx(0.3 / 1.1, abs=1e-6)
    directory = store.verify("medium", written.version, BASE)
    assert {file.name for file in directory.iterdir()} == {
        "adapter_model.safetensors",
        "adapter_config.json",
        "policy.json",
        "README.md",
    }
    assert set(json.loads((directory / "policy.json").read_text())) == {
        *("profile version digest weights base parent recipe data rewards steps episodes".split()),
        *("scores created fgctl merged".split()),
    }


def test_versions_name_content(store, tmp_path):
    first = store.write("medium", adapter(tmp_path, "one"), manifest())
    second = store.write("medium", adapter(tmp_path, "two"), manifest())
    again = store.write("medium", tmp_path / "adapter-one", manifest())
    assert first.version == again.version != second.version
    assert sorted(store.versions("medium")) == sorted([first.version, second.version])


def test_a_stored_version_never_changes(store, tmp_path):
    written = store.write("medium", adapter(tmp_path), manifest())
    store.record_scores("medium", written.version, {"n": 80})
    again = store.write("medium", tmp_path / "adapter-weights", manifest() | {"steps": 3})
    assert again == store.manifest("medium", written.version) == written.model_copy(update={"scores": {"n": 80}})
    for other in (manifest("0.2,0.5,0.3"), manifest() | {"base": Named(name="base", digest="c" * 64)}):
        with pytest.raises(BrokenPolicy, match="other weights or another base"):
            store.write("medium", tmp_path / "adapter-weights", other)
    (store.path("medium", written.version) / "adapter_model.safetensors").write_bytes(b"damaged")
    store.write("medium", tmp_path / "adapter-weights", manifest())
    assert store.verify("medium", written.version, BASE)


def test_each_kind_of_scores_is_recorded_beside_the_others_and_the_card_follows(store, tmp_path):
    version = store.write("medium", adapter(tmp_path), manifest()).version
    readme = store.path("medium", version) / "README.md"
    assert "|" not in readme.read_text()
    store.record_validation("medium", version, {"n": 9})
    store.record_served("medium", version, {"responses": 4})
    store.record_scores("medium", version, {"n": 80, "weighted_reward": 0.5})
    after = store.manifest("medium", version).scores
    assert after == {"n": 80, "weighted_reward": 0.5, "served": {"responses": 4}, "validation": {"n": 9}}
    assert "| reward, by its weights | 0.500 |  |" in readme.read_text()


def test_a_changed_missing_or_foreign_adapter_is_refused(store, tmp_path):
    version = store.write("medium", adapter(tmp_path), manifest()).version
    with pytest.raises(BrokenPolicy, match=r"trained on the base base \(bbbbbbbbbbbb\), not on this other"):
        store.verify("medium", version, Named(name="other", digest="c" * 64))
    (store.path("medium", version) / "adapter_model.safetensors").write_bytes(b"damaged")
    with pytest.raises(BrokenPolicy, match="restore it"):
        store.verify("medium", version)
    (store.path("medium", version) / "adapter_model.safetensors").unlink()
    with pytest.raises(BrokenPolicy, match="missing"):
        store.promote("medium", version)
    (store.path("medium", version) / "policy.json").write_text('{"profile": 3}')
    with pytest.raises(BrokenPolicy, match=r"policy\.json"):
        store.manifest("medium", version)


def test_what_a_person_wrote_in_profiles_toml_survives_a_promotion(store, tmp_path):
    version = store.write("medium", adapter(tmp_path), manifest()).version
    file = store.root / "profiles.toml"
    file.write_text('# ours\n[medium]\nversion = "000000000000"\n[medium.decoding]\ntemperature = 0.2\n')
    store.promote("medium", version)
    assert file.read_text().startswith("# ours\n")
    assert store.profile("medium").decoding.temperature == 0.2
    assert store.profile("medium").version == version


def test_names_that_are_no_names_never_reach_the_file_system(store):
    for name in ("../sft", "a/b", "", ".", "A", "x" * 65):
        with pytest.raises(FgctlError, match="not a name"):
            store.path("medium", name)
        with pytest.raises(FgctlError, match="not a name"):
            store.versions(name)


def test_unknown_profiles_and_broken_files_are_said(store):
    store.root.mkdir()
    with pytest.raises(FgctlError, match="none yet"):
        store.profile("long")
    (store.root / "profiles.toml").write_text("[medium]\nverssion = 'x'\n")
    with pytest.raises(BrokenPolicy, match=r"profiles\.toml"):
        store.profile("medium")
    (store.root / "profiles.toml").write_text("[medium\n")
    with pytest.raises(BrokenPolicy, match="cannot be read"):
        store.profiles()


def test_scores_are_recorded_without_changing_the_version(store, tmp_path):
    version = store.write("medium", adapter(tmp_path), manifest()).version
    store.record_scores("medium", version, {"n": 80})
    assert store.manifest("medium", version).scores == {"n": 80}
    assert store.verify("medium", version, BASE)


def test_scores_as_served_and_greedy_ones_leave_each_other_alone(store, tmp_path):
    version = store.write("medium", adapter(tmp_path), manifest()).version
    served = {"responses": 160, "error_ratio": {"relevance": 0.4}, "score_ratio": {"relevance": {"0.0": 1.0}}}
    store.record_served("medium", version, served)
    alone = store.manifest("medium", version)
    assert (alone.scores, alone.greedy_scores) == ({"served": served}, {})
    for n in (80, 90):
        store.record_scores("medium", version, {"n": n, "per_question": {}})
        assert store.manifest("medium", version).scores == {"n": n, "per_question": {}, "served": served}
    store.record_served("medium", version, {"responses": 2})
    stored = store.manifest("medium", version)
    assert stored.scores == {"n": 90, "per_question": {}, "served": {"responses": 2}}
    assert stored.greedy_scores == {"n": 90, "per_question": {}}


def test_what_is_read_at_a_glance_has_no_distributions(store, tmp_path):
    version = store.write("medium", adapter(tmp_path), manifest()).version
    store.record_scores("medium", version, {"n": 80, "per_question": {"words": [1]}})
    store.record_served("medium", version, {"responses": 160, "score_ratio": {}, "input_ratio": {}})
    assert store.manifest("medium", version).figures == {"n": 80, "served": {"responses": 160}}
    store.promote("medium", version)
    assert store.promotions("medium")[0].scores == {"n": 80, "served": {"responses": 160}}


@pytest.mark.parametrize(
    "leftover", ["medium/.new-k3x", "medium/{}.bak", "medium/{}-old", "medium.bak/{}", "medium-old/{}"]
)
def test_a_leftover_directory_is_no_version(store, write_policy, leftover):
    version = write_policy(store, "medium", 1).version
    shutil.copytree(store.path("medium", version), store.root / leftover.format(version))
    (store.root / "medium" / "empty").mkdir()
    (store.root / "medium" / "notes.txt").write_text("mine")
    (store.root / "medium" / "binary").mkdir()
    (store.root / "medium" / "binary" / "policy.json").write_bytes(b"\xff")
    assert {profile: store.versions(profile) for profile in store.stored_profiles() if store.versions(profile)} == {
        "medium": [version]
    }


@pytest.mark.parametrize("blocked", ["store", "profile"])
def test_a_store_that_cannot_be_written_is_found_before_training(tmp_path, blocked):
    store = PolicyStore(tmp_path / "policies")
    store.require_writable("medium")
    assert not list(store.root.iterdir())
    if blocked == "profile":
        (store.root / "medium").write_text("a file where the directory should be")
    else:
        store = PolicyStore(tmp_path / "file" / "policies")
        (tmp_path / "file").write_text("a file where the directory should be")
    with pytest.raises(FgctlError, match=r"No policy can be stored in .*medium \(Not a directory\); make it writable"):
        store.require_writable("medium")


def test_the_whole_digest_is_stored_and_compared(store, tmp_path, monkeypatch):
    written = store.write("medium", adapter(tmp_path), manifest())
    assert (len(written.digest), written.digest[:12]) == (64, written.version)
    whole = versions.digest_of
    monkeypatch.setattr(versions, "digest_of", lambda adapter: whole(adapter)[:12] + "0" * 52)
    with pytest.raises(BrokenPolicy, match="restore it"):
        store.verify("medium", written.version)
    monkeypatch.setattr(store, "intact", lambda profile, version: written)
    with pytest.raises(BrokenPolicy, match=f"Another adapter is stored as medium@{written.version}"):
        store.write("medium", tmp_path / "adapter-weights", manifest())


def test_a_version_from_before_whole_digests_were_stored_is_checked_by_its_name(store, tmp_path):
    written = store.write("medium", adapter(tmp_path), manifest())
    file = store.path("medium", written.version) / "policy.json"
    file.write_text(json.dumps({k: v for k, v in json.loads(file.read_text()).items() if k != "digest"}))
    assert store.verify("medium", written.version)
    assert store.manifest("medium", written.version).digest is None


def test_where_the_base_is_loaded_from_does_not_change_a_versions_name(store, tmp_path):
    directory = adapter(tmp_path)
    config = json.loads((directory / "adapter_config.json").read_text())
    names = set()
    for path in (None, "/models/base", "org/base"):
        (directory / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": path}))
        names.add(store.write("medium", directory, manifest()).version)
    assert len(names) == 1
