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
    """The exit code, standard output, and standard error or the error's message."""
    result = run.invoke(app, [str(a) for a in arguments])
    if isinstance(result.exception, FgctlError):
        return 1, result.stdout, str(result.exception)
    assert result.exception is None, result.exception
    return result.exit_code, result.stdout, result.stderr


def test_promote_refuses_what_earns_less_and_force_is_told_and_shown(store, write_policy, recorded):
    good = write_policy(store, seed=0, scores=recorded([1.0, 2.0])).version
    worse = write_policy(store, seed=1, scores=recorded([0.0, 1.0])).version
    assert invoke("policies", "promote", "medium", good)[0] == 0
    code, _, message = invoke("policies", "promote", "medium", worse)
    assert (code, message.count("\n")) == (1, 0)
    assert "-1.000 [-1.000, -1.000]" in message
    code, _, message = invoke("policies", "promote", "medium", worse, "--force", "--reason", "shorter answers")
    assert code == 0
    assert f"Overridden, and recorded in the ledger: medium@{worse} earns less" in message
    assert f"medium now serves {worse}." in message
    assert store.profile("medium").version == worse
    assert invoke("policies", "promote", "medium", worse) == (
        0,
        "",
        f"{worse} is already the current version of medium.\n",
    )
    _, out, _ = invoke("policies", "show", "medium")
    history = out[out.index("Promotions of medium") :]
    for shown in (good, worse, "ada", "-1.000", "shorter", "earns less"):
        assert shown in history
    assert "per_question" not in out
    code, out, _ = invoke("policies", "show", "medium", "--json")
    assert json.loads(out) == json.loads(store.manifest("medium", worse).model_dump_json())


def test_rollback_goes_back_and_says_when_there_is_nothing_left(store, write_policy):
    first, second = (write_policy(store, seed=seed).version for seed in (0, 1))
    for version in (first, second):
        invoke("policies", "promote", "medium", version)
    code, _, message = invoke("policies", "rollback", "medium", "--reason", "complaints")
    assert (code, f"medium serves {first} again instead of {second}; running services follow." in message) == (0, True)
    assert store.promotions("medium")[-1].reason == "complaints"
    code, _, message = invoke("policies", "rollback", "medium")
    assert code == 1
    assert message == (
        f"The ledger names no version of medium before {first}; promote one that `fgctl policies list` shows."
    )


def test_diff_shows_what_differs_scores_and_how_far_the_updates_are_apart(store, write_policy, recorded):
    first = write_policy(store, seed=0, scores=recorded([1.0, 2.0]), steps=9).version
    second = write_policy(store, seed=1, scores=recorded([0.5, 1.5])).version
    store.promote("medium", second)
    code, out, _ = invoke("policies", "diff", "medium", first, "--json")
    assert code == 0
    report = json.loads(out)
    assert report["a"] == {"profile": "medium", "version": first}
    assert report["b"] == {"profile": "medium", "version": second}
    assert report["differences"] == {"steps": [9, 2]}
    assert report["scores"]["weighted_reward"] == [1.5, 1.0]
    assert "per_question" not in out
    assert report["weighted_reward"] == {"difference": 0.5, "low": 0.5, "high": 0.5}
    assert report["updates"]["relative_difference"] > 0.1
    assert json.loads(invoke("policies", "diff", "medium", first, second, "--json")[1]) == report
    _, out, message = invoke("policies", "diff", "medium", first)
    assert "scores.weighted_reward" in out
    assert f"minus that of medium@{second}: +0.500 [+0.500, +0.500]." in message
    assert "The updates differ by" in message


def test_diff_of_other_profiles_weights_and_bases(store, write_policy):
    mine = write_policy(store).version
    short = write_policy(store, "short", 1, weights="0.5,0.3,0.2").version
    report = json.loads(invoke("policies", "diff", "medium", mine, f"short@{short}", "--json")[1])
    assert report["differences"]["weights.relevance"] == [0.3, 0.5]
    assert report["weighted_reward"] is None
    assert report["updates"]["relative_difference"] is not None
    _, _, message = invoke("policies", "diff", "medium", mine, f"short@{short}")
    assert "so their rewards mean different things." in message
    foreign = write_policy(store, "other", 2, base=Named(name="other", digest="c" * 64)).version
    report = json.loads(invoke("policies", "diff", "medium", mine, f"other@{foreign}", "--json")[1])
    assert report["differences"]["base.name"] == ["base", "other"]
    assert report["updates"]["relative_difference"] is None
    code, _, message = invoke("policies", "diff", "medium", "nothing", mine)
    assert (code, "is not stored" in message) == (1, True)


def test_verify_lists_every_version_and_fails_when_one_is_broken(store, write_policy):
    sound = write_policy(store, seed=0).version
    orphan = write_policy(store, seed=1, parent=Versioned(version="gone", digest="d" * 64)).version
    code, out, message = invoke("policies", "verify", "--json")
    assert code == 1
    report = {row["version"]: row["problem"] for row in json.loads(out)}
    assert report[sound] is None
    assert "sft@gone" in report[orphan]
    assert message == f"1 of 2 policies cannot be used. The first problem: {report[orphan]}"
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
    code, out, message = invoke(*train, "--promote", "--json")
    assert code == 1
    new = json.loads(out)["version"]
    assert new in store.versions("medium")
    assert store.profile("medium").version == first
    assert message == (
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


@pytest.fixture
def write(store, write_policy):
    """Stores a version whose answers have so many words and earn these rewards."""

    def scores(words, answer, **rewards):
        streams = {"relevance": 0.0, "factuality": 0.0, "completeness": 0.0} | rewards
        return {
            "questions": "q", "rewards": "r", "decoding": {},
            "per_question": {
                "words": [words] * 20, "answer": [f"{answer}{i}" for i in range(20)],
                "reward": {name: [value] * 20 for name, value in streams.items()},
                "weighted_reward": [sum(streams.values())] * 20,
            },
        }  # fmt: skip

    def write(profile, seed, weights, words, **rewards):
        of = scores(words, f"{profile}{seed}", **rewards)
        return write_policy(store, profile, seed, weights=weights, scores=of | {"validation": of}).version

    return write


def test_promote_set_promotes_three_versions_together_or_none(store, write):
    short, medium = write("short", 0, "6,2,2", 50, relevance=1), write("medium", 1, "2,6,2", 60, factuality=1)
    alike, longer = write("long", 2, "2,2,6", 62, completeness=1), write("long", 3, "2,2,6", 90, completeness=1)
    names = [f"short={short}", f"medium={medium}"]
    code, _, message = invoke("policies", "promote", "--set", *names, f"long={alike}")
    assert code == 1
    assert "words of long / medium" in message
    assert store.profiles() == {}
    code, _, message = invoke("policies", "promote", "--set", *names, f"long={longer}", "--reason", "first")
    assert code == 0
    assert [store.profile(name).version for name in ("short", "medium", "long")] == [short, medium, longer]
    assert "All three are already current" in invoke("policies", "promote", "--set", *names, f"long={longer}")[2]
    code, _, message = invoke("policies", "promote", "--set", *names, f"long={alike}", "--force")
    assert code == 0
    assert "words of long / medium" in store.promotions("long")[-1].overridden
    assert len(store.promotions("short")) == 1
    worse = write("short", 4, "6,2,2", 50, relevance=0.9)
    code, _, message = invoke("policies", "promote", "--set", f"short={worse}", f"medium={medium}", f"long={longer}")
    assert (code, store.profile("long").version) == (1, alike)
    assert f"short@{worse} earns less weighted reward than {short}" in message


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["--set", "short=1"], "A set has a version of each of short, medium, long"),
        (["--set", "short", "medium=1", "long=2"], "does not name a version for each profile"),
        (["--set", "short=1", "short=2", "long=2"], "does not name a version for each profile"),
        (["medium"], "Name a profile and a version"),
        (["medium", "1", "2"], "Name a profile and a version"),
    ],
)
@pytest.mark.usefixtures("store")
def test_promote_says_how_to_name_versions(names, message):
    code, _, output = invoke("policies", "promote", *names)
    assert code == 1
    assert message in output


def test_verify_set_tells_each_condition_and_checks_a_version_before_it_is_promoted(store, write, write_policy):
    short = write("short", 0, "6,2,2", 50, relevance=1)
    medium = write("medium", 1, "2,6,2", 60, factuality=1)
    long = write("long", 2, "2,2,6", 62, completeness=1)
    for profile, version in (("short", short), ("medium", medium), ("long", long)):
        assert invoke("policies", "promote", profile, version)[0] == 0
    code, out, message = invoke("policies", "verify", "--set")
    assert code == 1
    assert "2 of 22 conditions do not hold. The first: on the held-out questions, words of long / medium" in message
    assert "│ words of medium / short" in out
    longer = write("long", 3, "2,2,6", 90, completeness=1)
    code, out, _ = invoke("policies", "verify", "--set", "--with", f"long@{longer}", "--json")
    report = json.loads(out)
    assert (code, report["holds"]) == (0, True)
    assert report["profiles"] == {"short": short, "medium": medium, "long": longer}
    assert "names no version of short, medium, long" in invoke("policies", "verify", "--set", "--with", "other@1")[2]
    bare = write_policy(store, "long", 4, weights="2,2,6").version
    _, _, message = invoke("policies", "verify", "--set", "--with", f"long@{bare}")
    assert f"long@{bare} has no evaluation on the held-out questions" in message
    assert "run `fgctl evaluate --record --profile short@" in message


def test_a_policy_goes_out_and_comes_back(store, tiny, tiny_parents, write_adapter, tmp_path):
    version = write_adapter(store, "medium", tiny_parents[0], tiny, "0.3,0.5,0.2").version
    code, _, message = invoke("policies", "export", "medium", "--to", tmp_path / "out")
    assert (code, "medium" in message) == (1, True)  # no version is current yet
    exporting = ["policies", "export", f"medium@{version}", "--to", tmp_path / "out", "--base", tiny.path]
    code, out, _ = invoke(*exporting, "--json")
    assert (code, json.loads(out)) == (
        0,
        {
            "profile": "medium",
            "version": version,
            "base_model": str(tiny.path),
            "trunk": None,
            "to": str(tmp_path / "out"),
        },
    )
    code, _, message = invoke(*exporting)
    assert (code, message) == (1, f"{tmp_path / 'out'} exists already; name a new directory, or remove it.")
    importing = ["policies", "import", tmp_path / "out", "--profile", "again", "--base", tiny.path]
    code, _, message = invoke(*importing)
    assert (code, "Name the weights" in message) == (1, True)
    code, _, message = invoke(*importing, "--weights", "1,1,2")
    assert code == 0
    assert f"To serve it: fgctl policies promote again {version}" in message.replace("\n", " ")
    assert store.manifest("again", version).weights["completeness"] == 0.5
