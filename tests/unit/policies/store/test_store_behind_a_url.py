"""A store in a bucket, over HTTP: promotions at the same time, a store that is away, objects that are damaged."""

import json
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import obstore
import pytest
from obstore.store import from_url
from typer.testing import CliRunner

from cli.main import app
from policies.manifest import Versioned
from policies.store import ADAPTER, BrokenPolicy, PolicyStore
from policies.store.copying import copy_versions
from policies.store.objects import StoreAway
from policies.store.policy_store import LEDGER
from policies.verification import problem
from rewards.dataset import file_digest
from rewards.errors import FgctlError
from trainer.experiments.experiment import own_store


@pytest.fixture
def local(tmp_path, write_policy):
    """A store on this machine with three versions of medium, the first of them current."""
    store = PolicyStore(tmp_path / "local")
    versions = [write_policy(store, seed=seed).version for seed in range(3)]
    store.promote("medium", versions[0])
    return SimpleNamespace(store=store, versions=versions)


@pytest.fixture
def machines(bucket, local, tmp_path, monkeypatch):
    """Opens the store in the bucket as another machine would, with a mirror of its own; it holds `local`'s versions."""
    numbers = iter(range(100))

    def machine():
        monkeypatch.setenv("FGCTL_CACHE", str(tmp_path / f"machine-{next(numbers)}"))
        return PolicyStore(bucket)

    run = CliRunner().invoke(app, ["policies", "push", bucket, "--policies", str(local.store.root), "--json"])
    assert run.exit_code == 0, run.output
    assert json.loads(run.stdout)["copied"] == 3
    return machine


def test_what_was_pushed_is_what_another_machine_verifies_and_pulls(machines, local, bucket, tmp_path):
    remote = machines()
    assert remote.versions("medium") == local.store.versions("medium")
    assert remote.profile("medium").version == local.versions[0]
    assert remote.promotions("medium") == local.store.promotions("medium")
    for version in local.versions:
        assert (remote.usable("medium", version) / ADAPTER).read_bytes() == (
            local.store.path("medium", version) / ADAPTER
        ).read_bytes()
    command = ["policies", "pull", bucket, f"medium@{local.versions[1]}", "--policies", str(tmp_path / "pulled")]
    for copied in (1, 0):
        run = CliRunner().invoke(app, [*command, "--json"])
        assert (run.exit_code, json.loads(run.stdout)["copied"]) == (0, copied)
    assert PolicyStore(tmp_path / "pulled").versions("medium") == [local.versions[1]]


def test_a_promotion_is_seen_by_other_machines_and_recorded_like_a_local_one(machines, local):
    here, there = machines(), machines()
    assert there.profile("medium").version == local.versions[0]
    before = there.signature()
    here.promote("medium", local.versions[1], "faster")
    assert there.signature() != before
    assert there.profile("medium").version == local.versions[1]
    assert [(line.version, line.reason) for line in there.promotions("medium")][1:] == [(local.versions[1], "faster")]
    there.rollback("medium")
    here.set_canary("medium", local.versions[2], 0.25)
    assert there.profile("medium").version == local.versions[0]
    assert there.profile("medium").canary.share == 0.25
    here.record_scores("medium", local.versions[0], {"n": 3})
    assert machines().manifest("medium", local.versions[0]).scores == {"n": 3}


def test_of_promotions_at_the_same_time_none_is_lost_and_the_ledger_tells_their_order(machines, local):
    stores = [machines() for _ in range(4)]

    def promote(number):
        store, done = stores[number], []
        for turn in range(3):
            version = local.versions[(number + turn) % 3]
            if store.promote("medium", version, f"{number}.{turn}") is not None:
                done.append(f"{number}.{turn}")
        return done

    with ThreadPoolExecutor(4) as pool:
        promoted = sorted(reason for done in pool.map(promote, range(4)) for reason in done)
    after = machines()
    lines = after.promotions("medium")
    assert sorted(line.reason for line in lines[1:]) == promoted, (after.root / LEDGER).read_text()
    assert lines[-1].version == after.profile("medium").version
    assert [line.previous for line in lines[1:]] == [line.version for line in lines[:-1]]
    assert len((after.root / LEDGER).read_text().splitlines()) == len(lines)


def test_while_the_store_is_away_what_was_fetched_is_served_and_nothing_is_promoted(machines, local, s3_server):
    store = machines()
    store.verify("medium", local.versions[0])
    assert store.profiles()["medium"].version == local.versions[0]
    s3_server.stop()
    try:
        assert store.profiles()["medium"].version == local.versions[0]
        store.verify("medium", local.versions[0])
        assert store.signature() is None
        for change in (
            lambda: store.promote("medium", local.versions[0]),
            lambda: store.verify("medium", local.versions[1]),
            lambda: machines().profiles(),
        ):
            with pytest.raises(StoreAway, match="check the URL, its credentials and network"):
                change()
    finally:
        s3_server.start()
    assert store.promote("medium", local.versions[1]).version == local.versions[1]


def test_a_damaged_object_is_refused_until_it_is_pushed_again(machines, local, bucket):
    store, key = machines(), f"medium/{local.versions[1]}/{ADAPTER}"
    objects = from_url(bucket, client_options={"allow_http": True})
    content = bytes(obstore.get(objects, key).bytes())
    obstore.put(objects, key, content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(BrokenPolicy, match="is not the one that was stored; push it again"):
        store.promote("medium", local.versions[1])
    assert not (store.root / key).exists()
    assert store.profile("medium").version == local.versions[0]
    run = CliRunner().invoke(app, ["policies", "push", bucket, "--policies", str(local.store.root), "--json"])
    assert json.loads(run.stdout)["copied"] == 1
    assert store.promote("medium", local.versions[1]) is not None


def test_a_version_whose_upload_broke_off_is_uploaded_again(machines, local, write_policy, monkeypatch):
    store = machines()
    upload = store._origin._objects.upload

    def break_off(file, key):
        if key.endswith("policy.json"):
            raise StoreAway(store.url, "the network is gone")
        upload(file, key)

    with monkeypatch.context() as patched:
        patched.setattr(store._origin._objects, "upload", break_off)
        with pytest.raises(StoreAway, match="the network is gone"):
            write_policy(store, seed=7)
    assert len(machines().versions("medium")) == 3
    version = write_policy(store, seed=7).version
    assert version in machines().versions("medium")


def test_from_a_store_that_has_nothing_nothing_is_taken_over(local, tmp_path, monkeypatch):
    monkeypatch.setenv("FGCTL_POLICIES", "")  # which --policies sets for the rest of a process
    for names in ([], ["--json"]):
        command = ["policies", "pull", str(tmp_path / "misspelt"), "--policies", str(tmp_path / "mine"), *names]
        run = CliRunner().invoke(app, command)
        assert "has no policies; check its name" in str(run.exception)
    assert not PolicyStore(tmp_path / "mine").begin_like(PolicyStore(tmp_path / "misspelt"))
    assert PolicyStore(tmp_path / "mine").begin_like(local.store)


def test_a_parent_that_is_not_in_the_mirror_yet_is_fetched_to_compare_it(machines, local, write_policy, bucket):
    parent = write_policy(local.store, "sft", 9, weights=None).version
    digest = file_digest(local.store.path("sft", parent) / ADAPTER)
    child = write_policy(local.store, "short", 5, parent=Versioned(version=parent, digest=digest)).version
    copy_versions(local.store, machines(), [("sft", parent), ("short", child)])
    assert problem(machines(), "short", child) is None


def test_an_experiment_begins_with_the_parent_of_a_store_behind_a_url(machines, local, write_policy, tmp_path):
    parent = write_policy(local.store, "sft", 9, weights=None).version
    local.store.promote("sft", parent)
    copy_versions(local.store, machines(), [("sft", parent)])
    machines().promote("sft", parent)
    for _ in range(2):
        own = own_store(tmp_path / "experiment", machines())
        assert own.profile("sft").version == parent
        assert own.verify("sft", parent)


def test_a_mirror_that_was_damaged_on_disk_is_fetched_again(machines, local):
    store = machines()
    file = store.verify("medium", local.versions[0]) / ADAPTER
    whole = file.read_bytes()
    file.write_bytes(whole[:100])
    store.verify("medium", local.versions[0])
    assert file.read_bytes() == whole


@pytest.mark.parametrize("url", ["hf://nobody", "ftp://server/policies"])
def test_a_url_that_names_no_store_is_refused_in_a_sentence(url, tmp_path, monkeypatch):
    monkeypatch.setenv("FGCTL_CACHE", str(tmp_path))
    with pytest.raises(FgctlError, match="cannot be used"):
        PolicyStore(url)
