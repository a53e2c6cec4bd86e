import pytest
import torch

from policies.manifest import Named, Versioned
from policies.store import BrokenPolicy, PolicyStore
from policies.verification import problem, stored_policies
from rewards.dataset import file_digest
from rewards.errors import FgctlError


@pytest.fixture
def store(tmp_path):
    return PolicyStore(tmp_path / "policies")


@pytest.fixture
def child(store, write_policy):
    """A sound policy with its parent."""
    parent = write_policy(store, "sft", 9, weights=None).version
    digest = file_digest(store.path("sft", parent) / "adapter_model.safetensors")
    return write_policy(store, parent=Versioned(version=parent, digest=digest))


def test_sound_policies_have_no_problem(store, child):
    assert problem(store, "medium", child.version) is None
    assert problem(store, "sft", child.parent.version) is None


@pytest.mark.parametrize("where", [0, 100, -1])
def test_one_flipped_bit_is_found(store, child, where):
    file = store.path("medium", child.version) / "adapter_model.safetensors"
    content = bytearray(file.read_bytes())
    content[where] ^= 1
    file.write_bytes(content)
    assert "changed since it was stored" in problem(store, "medium", child.version)


@pytest.mark.parametrize("name", ["adapter_model.bin", "optimizer.PT", "old/weights.pth", "state.pkl"])
def test_pickled_weights_beside_are_refused_and_never_loaded(store, child, name):
    file = store.path("medium", child.version) / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"\x80\x04.")
    message = problem(store, "medium", child.version)
    assert message == f"{file} is pickled, and only safetensors are accepted; remove it."
    with pytest.raises(BrokenPolicy, match="only safetensors"):
        store.verify("medium", child.version)
    with pytest.raises(BrokenPolicy, match="only safetensors"):
        store.promote("medium", child.version)


def test_values_that_are_not_finite_are_found(store, write_policy):
    def change(tensors):
        tensors[next(iter(tensors))][0, 0] = torch.nan

    version = write_policy(store, change=change).version
    assert store.verify("medium", version)
    assert "not finite" in problem(store, "medium", version)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_values_that_are_not_finite_are_never_served(store, write_policy, child, value):
    def change(tensors):
        tensors[next(iter(tensors))][0, 0] = value

    version = write_policy(store, seed=1, change=change).version
    with pytest.raises(BrokenPolicy, match=r"q_proj.lora_A.weight has values that are not finite; restore"):
        store.promote("medium", version)
    with pytest.raises(BrokenPolicy, match="not finite"):
        store.promote("medium", version, force=True)
    assert not store.profiles()
    store.promote("medium", child.version)
    with pytest.raises(BrokenPolicy, match="not finite"):
        store.set_canary("medium", version, 0.1)
    assert store.profile("medium").canary is None


def test_a_missing_or_changed_parent_is_found(store, child):
    file = store.path("sft", child.parent.version) / "adapter_model.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[:-1])
    assert "is not the adapter medium@" in problem(store, "medium", child.version)
    file.unlink()
    message = problem(store, "medium", child.version)
    assert message == (f"The parent of medium@{child.version}, sft@{child.parent.version}, is not stored; restore it.")


def test_a_manifest_of_another_version_or_without_a_base_is_found(store, write_policy):
    base = write_policy(store, seed=1, base=Named(name="base", digest="")).version
    assert "name its base" in problem(store, "medium", base)
    moved = write_policy(store, seed=2).version
    (store.root / "long").mkdir()
    store.path("medium", moved).rename(store.path("long", moved))
    assert f"claims to be medium@{moved}" in problem(store, "long", moved)
    (store.path("long", moved) / "policy.json").write_text("{}")
    assert "policy.json: profile: Field required" in problem(store, "long", moved)


def test_all_directories_and_all_current_versions_are_stored_policies(store, child):
    store.promote("medium", child.version)
    (store.path("medium", "nothing")).mkdir()
    (store.root / "medium" / ".new-abc").mkdir()
    (store.root / "__pycache__" / "x").mkdir(parents=True)
    with (store.root / "profiles.toml").open("a") as file:
        file.write('[long]\nversion = "gone"\n')
    parent = ("sft", child.parent.version)
    mine = [("medium", child.version), ("medium", "nothing")]
    assert stored_policies(store) == sorted([("long", "gone"), *mine, parent])
    assert stored_policies(store, "medium") == sorted(mine)
    assert "is not stored" in problem(store, "long", "gone")
    assert "is not stored" in problem(store, "medium", "nothing")
    with pytest.raises(FgctlError, match="There is no profile 'short'"):
        stored_policies(store, "short")
