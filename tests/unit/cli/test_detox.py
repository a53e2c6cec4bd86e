"""The commands of the task detoxification, without sampling. Content note: the sample has mild insults."""

import json
import re

import pytest

from rewards.dataset import SAMPLE
from rewards.toxicity.model import ToxicityModel
from tests.unit.cli.test_commands import invoke

PROMPTS = SAMPLE / "realtoxicityprompts.jsonl"


@pytest.fixture
def continuing(monkeypatch):
    """Continuations and reports that are made up; what was asked for."""
    asked = []

    def continuations(files, examples, task, samples):
        asked.append((files.adapter, len(examples), task.name, samples))

    def report_on(sampled, opinions, fluency):
        return {"prompts": 2, "toxicity": 0.25, "intervals": {"toxicity": [0.2, 0.3]}}

    monkeypatch.setattr("trainer.evaluation.continuations.continuations", continuations)
    monkeypatch.setattr("trainer.evaluation.continuations.report_on_continuations", report_on)
    monkeypatch.setattr("trainer.evaluation.fluency.fluency_model", lambda base, store: base)
    return asked


def test_evaluate_compares_the_continuations_of_policies(continuing):
    options = ["--task", "detox", "--data", PROMPTS, "--profile", "base", "--profile", "medium"]
    code, out = invoke("evaluate", *options)
    assert code == 0
    assert re.search(r"base +.* medium", out)
    assert re.search(r"toxicity +│( 0\.250 \[0\.200, 0\.300\] +│){2}", out)
    (adapter, prompts, task, samples), (other, *_) = continuing
    assert (adapter, task, samples) == (None, "detox", 4)
    assert other is not None
    assert 0 < prompts < len(PROMPTS.read_text().splitlines())


def test_evaluate_prints_one_report_as_json(continuing):
    code, out = invoke("evaluate", "--task", "detox", "--data", PROMPTS, "--samples", "2", "--json")
    assert code == 0
    report = json.loads(out)
    assert (report["profile"], report["toxicity"], continuing[0][3]) == ("base", 0.25, 2)


def test_sample_writes_continuations_of_prompts_that_are_not_held_out(tmp_path, monkeypatch):
    asked = []

    def sample_answers(profile, examples, samples, store, base, decoding, seed, task):
        asked.append((decoding.max_tokens, task.name))
        yield [(example, [" went on."] * samples) for example in examples]

    monkeypatch.setattr("trainer.evaluation.sample_answers.sample_answers", sample_answers)
    out = tmp_path / "continuations.jsonl"
    options = ["--task", "detox", "--data", PROMPTS, "--profile", "medium", "--samples", "1", "--out", out]
    assert invoke("sample", *options)[0] == 0
    assert asked == [(48, "detox")]
    written = [json.loads(line) for line in out.read_text().splitlines()]
    assert {row["response"] for row in written} == {" went on."}
    assert 20 < len(written) < len(PROMPTS.read_text().splitlines())


def test_a_fitted_scorer_is_evaluated_against_perspective_and_probes(tmp_path, monkeypatch):
    monkeypatch.setenv("FGCTL_DATA", str(tmp_path))
    target = tmp_path / "toxicity.json"
    code, out = invoke("rewards", "fit-toxicity", "--data", PROMPTS, "--out", target, "--json")
    assert code == 0
    assert json.loads(out)["version"] == ToxicityModel.load(target).version
    code, out = invoke("rewards", "evaluate-toxicity", "--data", PROMPTS, "--all", "--toxicity", target, "--json")
    assert code == 0
    report = json.loads(out)
    assert report["toxicity"]["perspective"]["all"]["n"] == report["second opinion"]["perspective"]["all"]["n"] == 72
    assert report["toxicity"]["probes"].keys() >= {"identities", "negation", "quotation", "leet"}
