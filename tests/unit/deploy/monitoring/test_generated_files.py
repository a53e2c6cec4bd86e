import pytest
import yaml

from deploy.monitoring import __main__ as command
from deploy.monitoring.generated_files import PROMETHEUS, ROOT, generated_files

GENERATED = generated_files()


@pytest.mark.parametrize("path", GENERATED, ids=str)
def test_committed_files_are_those_that_are_generated(path):
    assert (ROOT / path).read_text(encoding="utf-8") == GENERATED[path], "run `make monitoring`"


def test_no_outdated_test_file_is_left():
    committed = {file.relative_to(ROOT) for file in (ROOT / PROMETHEUS / "tests").iterdir()}
    assert committed == {path for path in GENERATED if path.parent.name == "tests"}


def test_expressions_survive_yaml():
    rules = yaml.safe_load((ROOT / PROMETHEUS / "rules.yml").read_text())
    exprs = {rule["record"]: rule["expr"] for group in rules["groups"] for rule in group["rules"]}
    assert exprs["fg:segments_scored:increase1h"] == (
        "sum by (namespace, job, profile, policy, category) (increase(fg_segments_scored_total[1h]))"
    )


def test_check_finds_a_difference_and_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "ROOT", tmp_path)
    monkeypatch.setattr(command, "generated_files", lambda: {PROMETHEUS / "rules.yml": "groups: []\n"})
    monkeypatch.setattr("sys.argv", ["monitoring", "--check"])
    assert command.main() == 1
    assert "rules.yml" in capsys.readouterr().out
    assert not (tmp_path / PROMETHEUS).exists()

    monkeypatch.setattr("sys.argv", ["monitoring"])
    assert command.main() == 0
    assert (tmp_path / PROMETHEUS / "rules.yml").read_text() == "groups: []\n"

    monkeypatch.setattr("sys.argv", ["monitoring", "--check"])
    assert command.main() == 0
