import pytest
import torch

from policies.base import resolve_base
from policies.manifest import Named, Versioned
from policies.store import BrokenPolicy, PolicyStore
from policies.verification import absent_bases, problem, stored_policies
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
    assert message == (
        f"medium@{child.version} holds {name}, which is pickled, and only safetensors are accepted; remove it."
    )
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
    with pytest.raises(BrokenPolicy, match=r"q_proj has values that are not finite; restore"):
        store.promote("medium", version)
    with pytest.raises(BrokenPolicy, match="not finite"):
        store.promote("medium", version, force=True)
    assert not store.profiles()
    store.promote("medium", child.version)
    with pytest.raises(BrokenPolicy, match="not finite"):
        store.set_canary("medium", version, 0.1)
    assert store.profile("medium").canary is None


def test_an_adapter_that_a_service_refuses_is_neither_sound_nor_promoted(store, write_policy):
    def change(tensors):
        tensors["base_model.model.model.layers.3.self_attn.q_proj.lora_A.weight"] = torch.ones(2, 4)
        tensors["base_model.model.model.layers.3.self_attn.q_proj.lora_B.weight"] = torch.ones(3, 2)

    version = write_policy(store, change=change).version
    message = f"medium@{version}: model.layers.3.self_attn.q_proj is not a target module of its configuration"
    assert message in problem(store, "medium", version)
    for use in (store.promote, lambda *policy: store.set_canary(*policy, 0.1)):
        with pytest.raises(BrokenPolicy, match="is not a target module"):
            use("medium", version)
    assert store.profiles() == {}


def test_shapes_are_compared_where_the_base_is_on_this_machine_and_its_absence_is_reported(store, write_policy):
    base = resolve_base()
    here = write_policy(store, "here", base=Named(name=base.name, digest=base.digest)).version
    message = problem(store, "here", here)
    assert "q_proj has an update of [3, 4], but a shape of [576, 576]" in message
    with pytest.raises(BrokenPolicy, match="has an update of"):
        store.promote("here", here)
    absent = write_policy(store, "absent").version
    assert problem(store, "absent", absent) is None
    assert absent_bases(store, [("here", here), ("absent", absent), ("absent", "gone")]) == ["base"]


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
