"""Training by the real commands, on the project's own sample, with the engine that is installed."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rewards.dataset import SAMPLE, load_answers, load_examples
from rewards.scorer import Scorer
from service.engine.cpu_environment import PRELOADED

ROOT = Path(__file__).parents[2]


class OneProcess:
    """Runs commands one after another in a process of their own, which has one engine for rollouts."""

    def __init__(self, environment, log):
        self._log = log
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("one_process.py")],
            cwd=ROOT, env=environment | {"PYTHONPATH": str(ROOT)}, text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=log.open("w"),
        )  # fmt: skip

    def __call__(self, *arguments):
        """A command's exit code, standard output and standard error."""
        self._process.stdin.write(json.dumps([str(argument) for argument in arguments]) + "\n")
        self._process.stdin.flush()
        reply = self._process.stdout.readline()
        assert reply, self._log.read_text()
        return json.loads(reply)

    def close(self):
        self._process.stdin.close()
        self._process.wait(60)


@pytest.fixture(scope="module")
def shell(store, environment):
    """The environment of every command. One thread: other tests run beside these, and two would wait for each other.

    No command restarts itself with libraries preloaded, since those of one process have to stay in it.
    """
    return environment | {
        "FGCTL_POLICIES": str(store.root), "FGCTL_DATA": "", "COLUMNS": "200", "OMP_NUM_THREADS": "1", PRELOADED: "1",
    }  # fmt: skip


@pytest.fixture(scope="module")
def fgctl(shell, tmp_path_factory):
    process = OneProcess(shell, tmp_path_factory.mktemp("commands") / "log.txt")
    yield process
    process.close()


def training(run, *, steps, profile="medium"):
    arguments = ["--data", SAMPLE / "train.json", "--recipe", "smoke", "--steps", steps, "--run", run, "--json"]
    return ["train", "--weights", "0.3,0.5,0.2", "--profile", profile, *map(str, arguments)]


def finished(done):
    code, out, err = done
    assert code == 0, err
    return json.loads(out)


def test_a_killed_run_goes_on_and_ends_like_an_uninterrupted_one(fgctl, shell, store, tmp_path):
    killed = subprocess.Popen(
        [sys.executable, "-m", "cli", *training(tmp_path / "killed", steps=2)],
        cwd=ROOT, env=shell, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    log = tmp_path / "killed" / "metrics.jsonl"
    while not (log.is_file() and log.read_text().count("\n") >= 1):
        assert killed.poll() is None, killed.communicate()[1]
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    whole = finished(fgctl(*training(tmp_path / "whole", steps=2)))
    resumed = finished(fgctl(*training(tmp_path / "killed", steps=2)))
    assert resumed["version"] == whole["version"]
    logs = [[json.loads(line) for line in (tmp_path / run / "metrics.jsonl").open()] for run in ("whole", "killed")]
    assert [[m["step"], m["reward/weighted"], m["kl/response"]] for m in logs[0]] == [
        [m["step"], m["reward/weighted"], m["kl/response"]] for m in logs[1]
    ]
    assert list((tmp_path / "whole" / "tensorboard").iterdir())
    check_policy(store, whole)


def check_policy(store, manifest):
    directory = store.verify("medium", manifest["version"])
    assert manifest["weights"] == pytest.approx({"relevance": 0.3, "factuality": 0.5, "completeness": 0.2})
    assert manifest["parent"]["version"] == store.profile("sft").version
    assert manifest["rewards"]["version"] == Scorer.load().version
    seen = Scorer.load().feedback.fitted
    assert {entry["name"]: entry["digest"] for entry in manifest["rewards"]["feedback"]["data"]} == seen.data
    assert manifest["steps"] == 2
    assert (directory / "adapter_model.safetensors").stat().st_size < 4 << 20


def test_a_run_directory_of_other_settings_is_refused(fgctl, tmp_path):
    (tmp_path / "settings.json").write_text("{}")
    _, out, err = fgctl(*training(tmp_path, steps=1))
    report, error = err.splitlines()
    assert (out, "rows of" in report) == ("", True)
    assert "other settings" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--weights", "1,2", "--profile", "medium"], "three numbers"),
        (["--weights", "1,1,1", "--profile", "../up"], "not a name"),
        (["--weights", "1,1,1", "--profile", "sft"], "reserved"),
        (["--weights", "1,1,1", "--profile", "a", "--recipe", "none"], "choose cpu, detox, gpu, paper, smoke"),
        (["--weights", "1,1,1", "--profile", "a", "--set", "ppo.lr=1"], "ppo.lr"),
        (["--weights", "1,1,1", "--profile", "a", "--data", "none.json"], "none.json"),
        (["--weights", "1,1,1", "--profile", "a", "--base", "/nowhere"], "--base"),
    ],
)
def test_errors_are_one_sentence(fgctl, arguments, message):
    code, out, err = fgctl("train", *arguments)
    assert (code, out) == (1, "")
    assert err.startswith("fgctl: ")
    assert err.count("\n") == 1
    assert message in err


def test_sft_trains_and_resumes(fgctl, store, tmp_path):
    arguments = ["--data", SAMPLE / "train.json", "--recipe", "smoke", "--run", tmp_path, "--json"]
    first = finished(fgctl("sft", *arguments))
    assert first["profile"] == "sft"
    assert first["weights"] is None
    assert finished(fgctl("sft", *arguments))["version"] == first["version"]


def test_an_experiment_compares_its_arms_and_is_not_done_twice(fgctl, tmp_path):
    rows = json.loads((SAMPLE / "train.json").read_text())
    (tmp_path / "held_out.json").write_text(json.dumps(rows[:2]))
    out = tmp_path / "experiment"
    arguments = ["--budget", 8, "--seeds", 1, "--recipe", "smoke", "--set", "ppo.rollouts=transformers"]
    data = ["--data", SAMPLE / "train.json", "--held-out", tmp_path / "held_out.json", "--out", out, "--json"]
    report = finished(fgctl("experiment", "holistic", *arguments, *data))
    assert [(arm["arm"], arm["episodes"]) for arm in report["arms"]] == [("fine-grained", 8), ("holistic", 8)]
    assert report["ahead"]["steps"] == 1
    results = json.loads((out / "results.json").read_text())
    assert [step["episodes"] for step in results["runs"][1]["curve"]] == [4, 8]
    assert results["runs"][0]["curve"][0] == results["runs"][1]["curve"][0]  # both begin as the parent
    assert "<svg" in (out / "curves.svg").read_text()
    written = {path: path.stat().st_mtime_ns for path in out.glob("*/metrics.jsonl")} | {
        path: path.stat().st_mtime_ns for path in out.glob("evaluations/*")
    }
    assert finished(fgctl("experiment", "holistic", *arguments, *data)) == report
    assert {path: path.stat().st_mtime_ns for path in written} == written
    _, out, err = fgctl("experiment", "holistic", "--set", "ppo.lr=1", *data)
    assert (out, err.count("\n")) == ("", 1)
    assert "ppo.lr" in err


def test_answers_are_sampled_and_an_interrupted_file_goes_on(fgctl, tmp_path):
    out = tmp_path / "answers.jsonl"
    asked = [json.dumps({"question": e.question, "response": "Kept."}) for e in load_examples(SAMPLE / "train.json")]
    out.write_text("\n".join(asked[:20]) + "\n" + asked[20][:30])
    code, _, err = fgctl("sample", "--data", SAMPLE / "train.json", "--out", out, "--samples", 1, "--max-tokens", 8)
    assert code == 0, err
    answers = load_answers(out)
    assert len(answers) == len(asked)
    assert [texts == ["Kept."] for texts in answers.values()] == [True] * 20 + [False] * 4
    assert {len(texts) for texts in answers.values()} == {1}
    assert "24 of 24 questions answered" in err


def test_a_policy_that_does_nothing_evaluates_like_the_base(fgctl, tmp_path):
    data = tmp_path / "questions.json"
    data.write_text(json.dumps(json.loads((SAMPLE / "dev.json").read_text())[:3]))
    names = [argument for name in ("base", "first", "idle") for argument in ("--profile", name)]
    base, first, idle = finished(fgctl("evaluate", *names, "--data", data, "--no-judge", "--json"))
    base_nll, first_nll, idle_nll = (entry["per_question"]["nll"] for entry in (base, first, idle))
    assert idle_nll == base_nll != first_nll
    (with_base, _) = idle["pairs"]
    assert all(entry["difference"] == entry["low"] == entry["high"] == 0 for entry in with_base["differences"].values())
