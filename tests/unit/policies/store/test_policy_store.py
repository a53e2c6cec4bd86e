import json
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from policies.store import BrokenPolicy, PolicyStore
from rewards.errors import FgctlError


@pytest.fixture
def store(tmp_path):
    return PolicyStore(tmp_path / "policies")


@pytest.fixture
def versions(store, write_policy):
    """Four stored versions of medium, none of them current."""
    return [write_policy(store, seed=seed).version for seed in range(4)]


def lines(store):
    return [json.loads(line) for line in (store.root / "promotions.jsonl").read_text().splitlines()]


class Killed(BaseException):
    """Stands for the end of the process: no handler of ours may catch it."""


@pytest.fixture
def killing(monkeypatch):
    """A context in which the process dies when it would put the new profiles.toml in the old one's place."""

    def die(path, target):
        raise Killed

    @contextmanager
    def context():
        with monkeypatch.context() as patched:
            patched.setattr(Path, "replace", die)
            with pytest.raises(Killed):
                yield

    return context


def test_a_promotion_is_recorded(store, write_policy, recorded, monkeypatch):
    monkeypatch.setenv("FGCTL_USER", "ada")
    v1 = write_policy(store, seed=0, scores=recorded([1.0, 2.0, 3.0])).version
    v2 = write_policy(store, seed=1, scores=recorded([1.5, 2.5, 3.5])).version
    assert store.promote("medium", v1).previous is None
    store.promote("medium", v2, "longer run")
    first, second = lines(store)
    assert first.keys() == second.keys() == {
        *"action profile version previous who when reason scores difference overridden".split()
    }  # fmt: skip
    assert (first["previous"], first["difference"], first["overridden"]) == (None, None, None)
    assert (second["version"], second["previous"], second["who"], second["reason"]) == (v2, v1, "ada", "longer run")
    assert second["difference"] == {"difference": 0.5, "low": 0.5, "high": 0.5}
    assert second["scores"]["weighted_reward"] == 2.5
    assert "per_question" not in second["scores"]
    assert [promotion.version for promotion in store.promotions("medium")] == [v1, v2]


def test_promoting_the_current_version_again_changes_nothing(store, versions):
    store.promote("medium", versions[0])
    before = (store.root / "promotions.jsonl").read_bytes()
    assert store.promote("medium", versions[0]) is None
    assert (store.root / "promotions.jsonl").read_bytes() == before


def test_the_first_line_of_an_older_store_says_what_was_current(store, versions):
    (store.root / "profiles.toml").write_text(f'[medium]\nversion = "{versions[0]}"\n')
    assert store.promotions("medium") == []
    with pytest.raises(FgctlError, match=f"no version of medium before {versions[0]}; promote one"):
        store.rollback("medium")
    store.promote("medium", versions[1])
    assert lines(store)[0]["previous"] == versions[0]
    assert store.rollback("medium").version == versions[0]


def test_what_earns_less_is_refused_unless_forced_and_that_is_recorded(store, write_policy, recorded):
    good = write_policy(store, seed=0, scores=recorded([1.0, 2.0])).version
    worse = write_policy(store, seed=1, scores=recorded([0.5, 1.5])).version
    unknown = write_policy(store, seed=2).version
    store.promote("medium", good)
    for version, message in ((worse, "earns less weighted reward"), (unknown, "has no recorded scores")):
        with pytest.raises(FgctlError, match=message):
            store.promote("medium", version)
        assert store.profile("medium").version == good
        assert len(lines(store)) == 1
    store.promote("medium", worse, force=True)
    assert "earns less weighted reward" in lines(store)[-1]["overridden"]
    store.promote("medium", good, force=True)
    assert lines(store)[-1]["overridden"] is None


def test_the_parent_is_promoted_without_a_comparison(store, write_policy, recorded):
    store.promote("sft", write_policy(store, "sft", 0, weights=None, scores=recorded([1.0])).version)
    version = write_policy(store, "sft", 1, weights=None).version
    assert store.promote("sft", version).overridden is None


def test_a_broken_current_version_does_not_stand_in_the_way(store, write_policy, recorded):
    old = write_policy(store, seed=0, scores=recorded([1.0])).version
    store.promote("medium", old)
    (store.path("medium", old) / "adapter_model.safetensors").write_bytes(b"damaged")
    new = write_policy(store, seed=1).version
    assert store.promote("medium", new).previous == old


def test_a_kill_between_ledger_and_profiles_leaves_no_promotion(store, versions, killing):
    v1, v2, *_ = versions
    with killing():
        store.promote("medium", v1)
    assert store.profiles() == {}
    assert len(lines(store)) == 1
    assert store.promotions("medium") == []
    store.promote("medium", v1)
    store.promote("medium", v2)
    assert [promotion.version for promotion in store.promotions("medium")] == [v1, v2]


def test_a_killed_promotion_or_rollback_is_no_step_of_a_later_rollback(store, versions, killing):
    v1, v2, v3, _ = versions
    store.promote("medium", v1)
    store.promote("medium", v2)
    for attempt in (lambda: store.promote("medium", v3), lambda: store.rollback("medium")):
        with killing():
            attempt()
        assert store.profile("medium").version == v2
        assert [promotion.version for promotion in store.promotions("medium")] == [v1, v2]
    assert len(lines(store)) == 4
    assert store.rollback("medium").version == v1


def test_a_ledger_that_cannot_be_written_stops_the_promotion(store, versions):
    store.promote("medium", versions[0])
    ledger = store.root / "promotions.jsonl"
    ledger.unlink()
    ledger.mkdir()
    with pytest.raises(OSError, match="directory"):
        store.promote("medium", versions[1])
    assert store.profile("medium").version == versions[0]


def test_rolling_back_goes_further_back_each_time_and_not_to_and_fro(store, versions):
    v1, v2, v3, v4 = versions
    for version in (v1, v2, v3):
        store.promote("medium", version)
    assert store.rollback("medium", "too long").version == v2
    assert lines(store)[-1]["action"] == "rollback"
    assert (lines(store)[-1]["previous"], lines(store)[-1]["reason"]) == (v3, "too long")
    store.promote("medium", v4)
    assert [store.rollback("medium").version for _ in range(2)] == [v2, v1]
    with pytest.raises(FgctlError, match=f"no version of medium before {v1}"):
        store.rollback("medium")
    assert store.profile("medium").version == v1


def test_a_rollback_is_verified_and_never_refused_by_scores(store, write_policy, recorded):
    worse = write_policy(store, seed=0, weights="0.2,0.5,0.3").version
    store.promote("medium", worse)
    store.promote("medium", write_policy(store, seed=1, scores=recorded([1.0])).version)
    file = store.path("medium", worse) / "adapter_model.safetensors"
    content = file.read_bytes()
    file.write_bytes(b"damaged")
    with pytest.raises(BrokenPolicy, match="restore it"):
        store.rollback("medium")
    file.write_bytes(content)
    assert store.rollback("medium").overridden is None
    assert store.profile("medium").weights["relevance"] == pytest.approx(0.2)


def test_profiles_have_trails_of_their_own(store, write_policy):
    short = [write_policy(store, "short", seed).version for seed in (0, 1)]
    long = [write_policy(store, "long", seed).version for seed in (2, 3)]
    for version in zip(short, long, strict=True):
        store.promote("short", version[0])
        store.promote("long", version[1])
    assert store.rollback("short").version == short[0]
    assert store.profile("long").version == long[1]


def test_promotions_at_once_follow_one_another(store, versions):
    start = threading.Barrier(len(versions))

    def promote(version):
        start.wait()
        PolicyStore(store.root).promote("medium", version)

    threads = [threading.Thread(target=promote, args=(version,)) for version in versions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    written = lines(store)
    assert sorted(line["version"] for line in written) == sorted(versions)
    assert [line["previous"] for line in written] == [None, *(line["version"] for line in written[:-1])]
    assert store.profile("medium").version == written[-1]["version"]
