"""The default store, and stores that are still named by the directory that the default one lay in before."""

import shutil
from pathlib import Path

import pytest

from policies.store import SHIPPED, PolicyStore
from policies.store import location as module
from policies.verification import stored_policies


@pytest.fixture(autouse=True)
def unset(monkeypatch):
    monkeypatch.delenv("FGCTL_POLICIES", raising=False)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """The `policies` directory of a checkout whose default store is empty but for profiles.toml."""
    shipped = tmp_path / "policies" / "shipped"
    shipped.mkdir(parents=True)
    (shipped / "profiles.toml").touch()
    monkeypatch.setattr(module, "SHIPPED", shipped)
    return shipped.parent


def test_the_shipped_store_is_the_default():
    store = PolicyStore()
    assert store.root == SHIPPED
    assert {"sft", "short", "medium", "long"} <= store.profiles().keys()
    assert "medium" in store.stored_profiles()


@pytest.mark.parametrize("named", [SHIPPED.parent, SHIPPED])
def test_the_shipped_store_opens_by_its_former_and_its_present_name(named, monkeypatch):
    by_default = stored_policies(PolicyStore())
    assert PolicyStore(named).root == SHIPPED
    assert stored_policies(PolicyStore(named)) == by_default
    monkeypatch.setenv("FGCTL_POLICIES", str(named))
    assert PolicyStore().root == SHIPPED


def test_a_relative_path_from_the_checkout_finds_the_shipped_store(monkeypatch):
    monkeypatch.chdir(SHIPPED.parents[1])
    monkeypatch.setenv("FGCTL_POLICIES", "policies")
    assert PolicyStore().root.resolve() == SHIPPED
    assert PolicyStore(Path("policies")).profiles() == PolicyStore(SHIPPED).profiles()


def test_a_store_of_ones_own_is_opened_where_it_is(tmp_path, write_policy):
    store = PolicyStore(tmp_path / "mine")
    version = write_policy(store).version
    assert store.root == tmp_path / "mine"
    store.promote("medium", version)
    assert PolicyStore(tmp_path / "mine").profile("medium").version == version


def test_versions_left_in_the_former_place_are_still_found(checkout, write_policy):
    former = PolicyStore(checkout / "elsewhere")
    old = write_policy(former, seed=1).version
    shutil.copytree(former.root / "medium", checkout / "medium")
    shutil.rmtree(former.root)
    store = PolicyStore()
    assert store.root == checkout / "shipped"
    new = write_policy(store, seed=2).version
    assert sorted(store.versions("medium")) == sorted([old, new])
    assert stored_policies(store) == sorted([("medium", old), ("medium", new)])
    assert store.path("medium", new).parent == checkout / "shipped" / "medium"
    assert store.verify("medium", old) == checkout / "medium" / old
    store.promote("medium", new)
    store.promote("medium", old)
    assert PolicyStore(checkout).profile("medium").version == old
    store.record_scores("medium", old, {"n": 1})
    assert store.manifest("medium", old).scores == {"n": 1}
    assert store.rollback("medium").version == new


def test_other_directories_in_the_former_place_are_no_versions(checkout, write_policy):
    for name in ("Backup/abc", "medium/draft", "store/__pycache__"):
        (checkout / name).mkdir(parents=True)
    (checkout / "Backup/abc/policy.json").write_text("{}")
    store = PolicyStore()
    version = write_policy(store).version
    assert stored_policies(store) == [("medium", version)]
    assert store.stored_profiles() == ["medium"]


def test_profiles_kept_in_the_former_place_go_on_serving(checkout, write_policy):
    shipped = write_policy(PolicyStore(), seed=1).version
    (checkout / "profiles.toml").write_text(f'[medium]\nversion = "{shipped}"\n[medium.decoding]\ntemperature = 0.2\n')
    store = PolicyStore()
    assert store.root == checkout
    assert store.profile("medium").decoding.temperature == 0.2
    own = write_policy(store, seed=2).version
    assert store.verify("medium", own) == checkout / "medium" / own
    assert store.verify("medium", shipped) == checkout / "shipped" / "medium" / shipped
    assert stored_policies(store) == sorted([("medium", own), ("medium", shipped)])
    assert store.stored_profiles() == ["medium"]


def test_moving_what_was_left_behind_changes_nothing(checkout, write_policy):
    store = PolicyStore()
    version = write_policy(store).version
    (checkout / "medium").mkdir()
    shutil.copytree(store.path("medium", version), checkout / "medium" / version)
    assert store.versions("medium") == [version]
    assert store.path("medium", version).parents[1] == store.root
