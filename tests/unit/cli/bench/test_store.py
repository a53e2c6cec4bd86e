"""`fgctl bench store` as a user runs it, on few rows."""

import json

import pytest
from typer.testing import CliRunner

from cli.main import app
from rewards.errors import FgctlError
from service.bench.feedback_store import measure as benchmark

run = CliRunner()


@pytest.fixture(autouse=True)
def few(monkeypatch):
    for name, number in {"ANSWERS": 12, "ANNOTATIONS": 1, "ITEMS": 2, "BATCH": 2, "QUESTIONS": 1}.items():
        monkeypatch.setattr(benchmark, name, number)


def test_a_report_is_json_and_progress_goes_to_standard_error(tmp_path):
    url = f"sqlite:///{tmp_path / 'bench.db'}"
    result = run.invoke(app, ["bench", "store", "--rows", "200", "--store", url, "--json"])
    assert result.exit_code == 0, result.exception
    assert json.loads(result.stdout).keys() == {"database", "rows", "filling", "costs", "import"}
    assert "Filling the store: 200 of 200" in result.stderr
    again = run.invoke(app, ["bench", "store", "--rows", "200", "--store", url])
    assert isinstance(again.exception, FgctlError)
    assert str(again.exception).startswith("The database that --store names is not empty; name a new file")
    assert again.stdout == ""


def test_the_table_has_a_row_for_every_call(tmp_path):
    result = run.invoke(app, ["bench", "store", "--rows", "200", "--store", f"sqlite:///{tmp_path / 'bench.db'}"])
    assert result.exit_code == 0, result.exception
    for words in ("SQLite, empty and with 200 answers", "Milliseconds a call", "next answer, error_rate", "figures"):
        assert words in result.stdout
    assert "Importing 2 items one by one takes" in result.stderr


def test_the_store_of_the_service_is_not_the_default(tmp_path, monkeypatch):
    monkeypatch.setenv("FGCTL_FEEDBACK_STORE", f"sqlite:///{tmp_path / 'feedback.db'}")
    result = run.invoke(app, ["bench", "store", "--rows", "1", "--json"])
    assert result.exit_code == 0, result.exception
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("url", "part"), [("mysql://host/db", "cannot use the database 'mysql'"), ("sqlite://", "names no file")]
)
def test_a_url_that_names_no_store_is_refused(url, part):
    result = run.invoke(app, ["bench", "store", "--store", url])
    assert isinstance(result.exception, FgctlError)
    assert part in str(result.exception)
