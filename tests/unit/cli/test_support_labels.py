"""`fgctl rewards evaluate` and `calibrate` on JSON lines of labelled spans."""

import json

import pytest
from typer.testing import CliRunner

from cli.main import app
from rewards.dataset import SAMPLE, load_feedback
from rewards.errors import FgctlError
from rewards.models.feedback_rewards import FITTED_REWARDS, load_rewards
from rewards.quality import judged_segments as judging
from rewards.quality.annotated_feedback import as_labelled_response
from tests.unit.rewards.quality.conftest import _segments

run = CliRunner()


def invoke(*arguments):
    result = run.invoke(app, ["rewards", *map(str, arguments)])
    if isinstance(result.exception, FgctlError):
        return 1, str(result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    path = tmp_path_factory.mktemp("labels") / "labels.jsonl"
    rows = [as_labelled_response(example) for example in load_feedback(SAMPLE / "feedback.json")[:4]]
    path.write_text("".join(row.model_dump_json() + "\n" for row in rows))
    return path


def test_evaluate_reports_on_labelled_spans(labels):
    code, out = invoke("evaluate", "--data", labels, "--json")
    assert code == 0
    report = json.loads(out)
    figures = report["factuality"]
    assert figures["baselines"].keys() == {"no_error"}
    assert {"accuracy", "macro_f1", "n", "auc", "calibration_error", "overlap_auc"} <= figures.keys()
    assert report.keys() >= {"relevance", "completeness", "protocol"}
    assert "--recipe" in invoke("evaluate", "--data", labels, "--cross-validate", "5")[1]


def test_calibrate_writes_a_version_with_lineage(labels, tmp_path, monkeypatch):
    monkeypatch.setattr(judging, "judge", lambda *_: {"factuality": _segments()})
    code, out = invoke("calibrate", "--data", labels, "--out", tmp_path / "mine.json", "--json")
    assert code == 0
    report = json.loads(out)
    assert report["categories"]["factuality"]["taken"]
    fitted = load_rewards(tmp_path / "mine.json")[0]
    assert (fitted.version, fitted.calibrated.parent) == (report["version"], load_rewards(FITTED_REWARDS)[0].version)
    assert list(fitted.calibrated.data) == ["labels.jsonl"]


def test_calibrate_refuses_few_labels(labels, tmp_path):
    code, message = invoke("calibrate", "--data", labels, "--out", tmp_path / "mine.json")
    assert code == 1
    assert "4 labelled answers" in message
    assert not (tmp_path / "mine.json").exists()
