"""A run's copy in a bucket, over HTTP: any machine continues it, and nothing is lost when the bucket is away."""

import json
from pathlib import Path
from types import SimpleNamespace

import obstore
import pytest
import torch
from obstore.store import from_url

from policies.store.objects import Changed, CloudObjects, StoreAway
from rewards.errors import FgctlError
from trainer.tracking.checkpoint import load_checkpoint, save_checkpoint
from trainer.tracking.run_copy import INDEX, RunCopy, keep_copy


@pytest.fixture
def machine(bucket, tmp_path):
    """Makes a machine: its copy of the run in the bucket, and a run directory of its own."""
    return lambda name: RunCopy(CloudObjects(bucket), tmp_path / name)


def train(copy, step):
    """What a run writes up to a step."""
    (copy.run / "validation").mkdir(parents=True, exist_ok=True)
    save_checkpoint(copy.run, {"step": step, "adapter": {"a": torch.full((3,), float(step))}})
    (copy.run / "settings.json").write_text("{}")
    (copy.run / "metrics.jsonl").write_text("".join(f"{json.dumps({'step': i})}\n" for i in range(step)))
    (copy.run / "validation" / "000000.md").write_text("An answer.")
    (copy.run / "run.lock").touch()


def opened(bucket):
    return from_url(bucket, client_options={"allow_http": True})


def contents(run):
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in Path(run).rglob("*") if path.is_file()}


def test_another_machine_continues_where_the_copy_is(machine):
    here, there = machine("here"), machine("there")
    here.fetch()
    for step in (1, 2):
        train(here, step)
        assert here.push(step) is None
    there.fetch()
    assert load_checkpoint(there.run)["step"] == 2
    assert contents(there.run) == {name: data for name, data in contents(here.run).items() if name != "run.lock"}
    train(there, 3)
    assert there.push(3) is None
    here.fetch()
    assert load_checkpoint(here.run)["step"] == 3


def test_a_bucket_that_does_not_exist_is_refused_before_training_and_missed_after_it(bucket, tmp_path):
    copy = RunCopy(CloudObjects(bucket.replace("policies-", "polices-")), tmp_path / "run")
    with pytest.raises(StoreAway, match="polices-"):
        copy.fetch()
    train(copy, 1)
    assert "polices-" in copy.push(1)


def test_a_copy_that_somebody_removes_is_not_begun_anew_unseen(machine, monkeypatch):
    here = machine("here")
    train(here, 1)
    here.push(1)

    def put(*_, **__):
        raise FileNotFoundError("NoSuchKey")  # as Amazon answers a conditional write of what is not there

    monkeypatch.setattr(obstore, "put", put)
    with pytest.raises(Changed):
        here.objects.replace(INDEX, b"{}", here._tag)


def test_a_run_that_is_further_here_stays_as_it_is(machine):
    here = machine("here")
    train(here, 1)
    here.push(1)
    train(here, 2)
    again = machine("here")
    again.fetch()
    assert load_checkpoint(again.run)["step"] == 2
    assert again.push(2) is None


def test_only_what_changed_is_sent_and_nothing_old_stays(machine, bucket, monkeypatch):
    here, sent = machine("here"), []
    upload = here.objects.upload
    monkeypatch.setattr(here.objects, "upload", lambda file, key: sent.append(file.name) or upload(file, key))
    train(here, 1)
    here.push(1)
    sent.clear()
    train(here, 2)
    here.push(2)
    assert sorted(sent) == ["checkpoint.pt", "metrics.jsonl"]
    keys = [meta["path"] for batch in obstore.list(opened(bucket)) for meta in batch]
    assert len(keys) == len(contents(here.run)) - len(["run.lock"]) + len([INDEX])


def test_two_trainings_with_the_same_copy_are_told(machine):
    first, second = machine("first"), machine("second")
    for copy in (first, second):
        copy.fetch()
        train(copy, 1)
    assert first.push(1) is None
    with pytest.raises(FgctlError, match="Another training writes to s3://"):
        second.push(1)
    train(first, 2)
    assert first.push(2) is None


def test_a_bucket_that_is_away_is_told_and_caught_up_with(machine, s3_server):
    here, told = machine("here"), []
    log = SimpleNamespace(say=lambda step, sentence, warning: told.append((step, sentence, warning)))
    train(here, 1)
    keep_copy(here, 1, log)
    s3_server.stop()
    try:
        train(here, 2)
        keep_copy(here, 2, log)
        with pytest.raises(StoreAway):
            machine("there").fetch()
    finally:
        s3_server.start()
    train(here, 3)
    keep_copy(here, 3, log)
    ((step, sentence, warning),) = told
    assert (step, warning) == (2, True)
    assert sentence.startswith("The run goes on, but its copy is out of date: ")
    there = machine("there")
    there.fetch()
    assert load_checkpoint(there.run)["step"] == 3


def test_an_index_whose_reply_was_lost_is_no_other_training(machine, monkeypatch):
    here = machine("here")
    train(here, 1)
    replace = here.objects.replace

    def lost(*arguments):
        replace(*arguments)
        raise StoreAway(here.objects.url, "timed out")

    monkeypatch.setattr(here.objects, "replace", lost)
    assert "timed out" in here.push(1)
    monkeypatch.setattr(here.objects, "replace", replace)
    train(here, 2)
    assert here.push(2) is None


@pytest.mark.parametrize("damage", ["index", "content", "missing", "name"])
def test_a_damaged_copy_is_refused(machine, bucket, damage):
    here, store = machine("here"), opened(bucket)
    train(here, 1)
    here.push(1)
    index = json.loads(bytes(obstore.get(store, INDEX).bytes()))
    if damage == "index":
        obstore.put(store, INDEX, b"{")
    elif damage == "content":
        obstore.put(store, f"files/{index['files']['checkpoint.pt']}", b"other")
    elif damage == "missing":
        obstore.delete(store, f"files/{index['files']['settings.json']}")
    else:
        index["files"]["../escaped"] = index["files"].pop("settings.json")
        obstore.put(store, INDEX, json.dumps(index).encode())
    there = machine("there")
    with pytest.raises(FgctlError, match=r"damaged|missing|no file of a run"):
        there.fetch()
    assert load_checkpoint(there.run) is None
    assert not (there.run.parent / "escaped").exists()
