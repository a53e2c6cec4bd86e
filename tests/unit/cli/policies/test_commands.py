"""`fgctl policies`, and `--promote` of `fgctl sft` and `fgctl train`, on a store of small adapters."""

import json

import pytest
from typer.testing import CliRunner

from cli.main import app
from policies.manifest import Named, Versioned
from policies.store import PolicyStore
from rewards.dataset import SAMPLE
from rewards.errors import FgctlError

run = CliRunner()


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("FGCTL_POLICIES", str(tmp_path / "policies"))
    monkeypatch.setenv("FGCTL_USER", "ada")
    return PolicyStore()


def invoke(*arguments):
    """The exit code, standard output, and what was said on standard error or by an error."""
    result = run.invoke(app, [str(a) for a in arguments])
    if isinstance(result.exception, FgctlError):
        return 1, result.stdout, str(result.exception)
    assert result.exception is None, result.exception
    return result.exit_code, result.stdout, result.stderr


def test_promote_refuses_what_earns_less_and_force_is_told_and_shown(store, write_policy, recorded):
    good = write_policy(store, seed=0, scores=recorded([1.0, 2.0])).version
    worse = write_policy(store, seed=1, scores=recorded([0.0, 1.0])).version
    assert invoke("policies", "promote", "medium", good)[0] == 0
    code, _, said = invoke("policies", "promote", "medium", worse)
    assert (code, said.count("\n")) == (1, 0)
    assert "-1.000 [-1.000, -1.000]" in said
    code, _, said = invoke("policies", "promote", "medium", worse, "--force", "--reason", "shorter answers")
    assert code == 0
    assert f"Overridden, and recorded in the ledger: medium@{worse} earns less" in said
    assert f"medium now means {worse}." in said
    assert store.profile("medium").version == worse
    assert invoke("policies", "promote", "medium", worse) == (0, "", f"{worse} is already the current version of medium.\n")
    _, out, _ = invoke("policies", "show", "medium")
    history = out[out.index("Promotions of medium") :]
    for shown in (good, worse, "ada", "-1.000", "shorter", "earns less"):
        assert shown in history
    assert "per_question" not in out
    code, out, _ = invoke("policies", "show", "medium", "--json")
    assert json.loads(out) == json.loads(store.manifest("medium", worse).model_dump_json())


def test_rollback_goes_back_and_says_when_there_is_nothing_left(store, write_policy):
    one, two = (write_policy(store, seed=seed).version for seed in (0, 1))
    for version in (one, two):
        invoke("policies", "promote", "medium", version)
    code, _, said = invoke("policies", "rollback", "medium", "--reason", "complaints")
    assert (code, f"medium means {one} again instead of {two}; running services follow." in said) == (0, True)
    assert store.promotions("medium")[-1].reason == "complaints"
    code, _, said = invoke("policies", "rollback", "medium")
    assert code == 1
    assert said == f"The ledger names no version of medium before {one}; promote one of `fgctl policies list`."


def test_diff_shows_what_differs_scores_and_how_far_the_updates_are_apart(store, write_policy, recorded):
    one = write_policy(store, seed=0, scores=recorded([1.0, 2.0]), steps=9).version
    two = write_policy(store, seed=1, scores=recorded([0.5, 1.5])).version
    store.promote("medium", two)
    code, out, _ = invoke("policies", "diff", "medium", one, "--json")
    assert code == 0
    found = json.loads(out)
    assert found["a"] == {"profile": "medium", "version": one}
    assert found["b"] == {"profile": "medium", "version": two}
    assert found["differences"] == {"steps": [9, 2]}
    assert found["scores"]["weighted_reward"] == [1.5, 1.0]
    assert "per_question" not in out
    assert found["weighted_reward"] == {"difference": 0.5, "low": 0.5, "high": 0.5}
    assert found["updates"]["relative_difference"] > 0.1
    assert json.loads(invoke("policies", "diff", "medium", one, two, "--json")[1]) == found
    _, out, said = invoke("policies", "diff", "medium", one)
    assert "scores.weighted_reward" in out
    assert f"minus that of medium@{two}: +0.500 [+0.500, +0.500]." in said
    assert "The updates differ by" in said


def test_diff_of_other_profiles_weights_and_bases(store, write_policy):
    mine = write_policy(store).version
    short = write_policy(store, "short", 1, weights="0.5,0.3,0.2").version
    found = json.loads(invoke("policies", "diff", "medium", mine, f"short@{short}", "--json")[1])
    assert found["differences"]["weights.relevance"] == [0.3, 0.5]
    assert found["weighted_reward"] is None
    assert found["updates"]["relative_difference"] is not None
    _, _, said = invoke("policies", "diff", "medium", mine, f"short@{short}")
    assert "so their rewards mean different things." in said
    foreign = write_policy(store, "other", 2, base=Named(name="other", digest="c" * 64)).version
    found = json.loads(invoke("policies", "diff", "medium", mine, f"other@{foreign}", "--json")[1])
    assert found["differences"]["base.name"] == ["base", "other"]
    assert found["updates"]["relative_difference"] is None
    code, _, said = invoke("policies", "diff", "medium", "nothing", mine)
    assert (code, "is not stored" in said) == (1, True)


def test_verify_lists_every_version_and_fails_when_one_is_broken(store, write_policy):
    sound = write_policy(store, seed=0).version
    orphan = write_policy(store, seed=1, parent=Versioned(version="gone", digest="d" * 64)).version
    code, out, said = invoke("policies", "verify", "--json")
    assert code == 1
    found = {row["version"]: row["problem"] for row in json.loads(out)}
    assert found[sound] is None
    assert "sft@gone" in found[orphan]
    assert said == f"1 of 2 policies cannot be used. The first problem: {found[orphan]}"
    assert invoke("policies", "verify", "medium", sound)[0] == 0
    code, out, _ = invoke("policies", "verify", "medium")
    assert code == 1
    assert "sound" in out
    assert "is not stored" in out.replace("\n", " ")
    assert invoke("policies", "verify", "none")[2] == "There is no profile 'none'; choose one of none yet."


def test_the_shipped_policies_are_sound():
    code, out, _ = invoke("policies", "verify", "--json")
    assert code == 0
    assert {row["profile"] for row in json.loads(out)} == PolicyStore().profiles().keys()


@pytest.fixture
def trained(store, write_policy, monkeypatch):
    """Makes `fgctl sft` and `fgctl train` store a new version at once."""
    monkeypatch.setattr("policies.base.resolve_base", lambda base: None)
    seeds = iter(range(100, 200))
    monkeypatch.setattr("trainer.sft.train_sft", lambda *_: write_policy(store, "sft", next(seeds), weights=None))
    monkeypatch.setattr("trainer.ppo_run.train_policy", lambda job, *_: write_policy(store, job.profile, next(seeds)))


@pytest.mark.usefixtures("trained")
def test_train_promotes_a_first_policy_and_stores_one_it_may_not_promote(store, recorded):
    train = ("train", "--weights", "0.3,0.5,0.2", "--profile", "medium", "--data", SAMPLE / "train.json")
    assert invoke(*train, "--promote")[0] == 0
    first = store.profile("medium").version
    assert store.promotions("medium")[0].reason == "trained with --promote"
    store.record_scores("medium", first, recorded([1.0, 2.0]))
    code, out, said = invoke(*train, "--promote", "--json")
    assert code == 1
    new = json.loads(out)["version"]
    assert new in store.versions("medium")
    assert store.profile("medium").version == first
    assert said == (
        f"medium@{new} has no recorded scores; run `fgctl evaluate --record --profile medium@{new} "
        f"--profile medium@{first}` and try again, or promote it anyway by "
        f"`fgctl policies promote medium {new} --force`."
    )
    assert invoke(*train)[0] == 0
    assert len(store.promotions("medium")) == 1


@pytest.mark.usefixtures("trained")
def test_sft_promotes_a_parent_whatever_was_evaluated(store, recorded):
    for _ in range(2):
        assert invoke("sft", "--data", SAMPLE / "train.json", "--promote")[0] == 0
        store.record_scores("sft", store.profile("sft").version, recorded([1.0]))
    assert len(store.promotions("sft")) == 2
