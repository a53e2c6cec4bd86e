"""Feedback exported for Label Studio, imported into the real program, exported there and imported again.

Label Studio has hundreds of packages of its own, so this runs only after `make label-studio` has installed it, or if
FGCTL_LABEL_STUDIO is the path of a Python that has it.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from rewards.dataset import SAMPLE
from service.feedback.exchange.label_studio import LABELING_CONFIG
from tests.unit.service.feedback.exchange.label_studio_itself import exported

INSTALLED = Path(__file__).parents[2] / ".servers/label-studio/bin/python"
PROGRAM = Path(__file__).with_name("run_label_studio.py")
RESPONSES = 7


@pytest.fixture(scope="module")
def python():
    """The path of a Python that has Label Studio."""
    path = Path(os.environ.get("FGCTL_LABEL_STUDIO") or INSTALLED)
    if not path.is_file():
        pytest.skip("Label Studio is not installed; `make label-studio` installs it for this test")
    return path


@pytest.fixture
def feedback(tmp_path, monkeypatch):
    """Runs `fgctl feedback` on a store with seven annotations."""
    monkeypatch.setenv("FGCTL_FEEDBACK_STORE", f"sqlite:///{tmp_path}/feedback.db")

    def run(*arguments):
        result = CliRunner().invoke(app, ["feedback", *map(str, arguments), "--json"])
        assert result.exception is None, result.exception
        return json.loads(result.stdout)

    rows = json.loads((SAMPLE / "feedback.json").read_text(encoding="utf-8"))[:RESPONSES]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    assert run("import", tmp_path / "rows.json")["stored"] == RESPONSES
    return run


@pytest.mark.slow
def test_feedback_passes_through_the_real_program(python, feedback, tmp_path):
    feedback("export", tmp_path / "tasks.json", "--format", "label-studio")
    (tmp_path / "view.xml").write_text(LABELING_CONFIG, encoding="utf-8")
    done = subprocess.run([python, PROGRAM, tmp_path], capture_output=True, text=True, check=False, timeout=1500)
    assert done.returncode == 0, done.stderr[-4000:]

    def imported(name):
        report = feedback("import", tmp_path / f"{name}.json", "--format", "label-studio")
        assert report["refused"] == []
        return report["stored"], report["corrected"], report["again"]

    assert imported("untouched") == (0, 0, RESPONSES)
    assert imported("changed") == (0, 1, RESPONSES - 1)
    assert imported("changed") == (0, 0, RESPONSES)
    assert imported("second") == (1, 0, RESPONSES)
    stats = feedback("stats")
    assert stats["counts"]["annotations"] == RESPONSES + 2
    assert set(stats["agreement"]["annotators"]) == {"imported", "2"}
    # The unit tests' stand-in for Label Studio keeps what the program keeps.
    tasks = json.loads((tmp_path / "tasks.json").read_text(encoding="utf-8"))
    untouched = json.loads((tmp_path / "untouched.json").read_text(encoding="utf-8"))
    for ours, theirs in zip(exported(tasks), untouched, strict=True):
        assert theirs["data"] == ours["data"]
        for name in ("result", "import_id", "was_cancelled"):
            assert theirs["annotations"][0][name] == ours["annotations"][0][name]
