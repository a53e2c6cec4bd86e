"""`fgctl feedback` as a user runs it, and reward models fitted on a store."""

import asyncio
import json
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from cli.rewards.feedback_data import is_store, load_feedback_from, store_name
from rewards.dataset import SAMPLE, load_feedback
from rewards.errors import FgctlError
from service.domain.caller import Caller
from service.feedback.exchange import FORMATS
from service.feedback.store.feedback_store import open_store

run = CliRunner()
FILE = SAMPLE / "feedback.json"


@pytest.fixture
def store(tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path / 'feedback.db'}"
    monkeypatch.setenv("FGCTL_FEEDBACK_STORE", url)
    return url


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """The file of a store that the sample was imported into."""
    file = tmp_path_factory.mktemp("sample") / "feedback.db"
    assert invoke("import", FILE, "--store", f"sqlite:///{file}")[0] == 0
    return file


@pytest.fixture
def imported(store, sample, tmp_path):
    """A store with the sample in it."""
    shutil.copy(sample, tmp_path / "feedback.db")
    return store


def invoke(*arguments, **options):
    result = run.invoke(app, ["feedback", *map(str, arguments)], **options)
    if isinstance(result.exception, FgctlError):
        return 1, result.stdout, str(result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def test_the_sample_is_imported_once_and_exported_as_it_was(store, tmp_path):
    rows = json.loads(FILE.read_text(encoding="utf-8"))
    assert invoke("import", FILE, "--store", store)[2].startswith("24 stored")
    again = json.loads(invoke("import", FILE, "--format", "qa-feedback", "--json")[1])
    assert again == {"stored": 0, "corrected": 0, "again": 24, "refused": [], "left_out": {}}
    for name in FORMATS:
        out = tmp_path / f"{name}.json"
        assert json.loads(invoke("export", out, "--format", name, "--json")[1])["annotations"] == 24
        report = json.loads(invoke("import", out, "--format", name, "--json")[1])
        assert (report["again"], report["stored"], report["refused"]) == (24, 0, [])
    assert json.loads((tmp_path / "qa-feedback.json").read_text(encoding="utf-8")) == rows


def test_the_store_gives_the_examples_that_the_file_gives(imported):
    feedback = load_feedback_from(imported)
    assert feedback.examples == load_feedback(FILE)
    assert feedback.name == "feedback.db"
    assert load_feedback_from(imported).digest == feedback.digest != load_feedback_from(str(FILE)).digest


def test_refusals_are_reported_and_importing_nothing_is_an_error(store, tmp_path):
    rows = json.loads(FILE.read_text(encoding="utf-8"))[:2]
    bad = rows[1] | {"preference": []}
    (tmp_path / "some.json").write_text(json.dumps([rows[0], bad]))
    code, _, remarks = invoke("import", tmp_path / "some.json")
    assert code == 0
    assert "1 refused" in remarks
    assert "record 2: Field preference" in remarks
    (tmp_path / "none.json").write_text(json.dumps([bad]))
    code, _, message = invoke("import", tmp_path / "none.json")
    assert code == 1
    assert "No record of" in message


def test_a_control_of_another_name_is_refused_until_it_is_mapped(store, tmp_path):
    """Label Studio's default names, on a task with a question and a response."""
    marks = [
        {"id": "a", "from_name": "label", "to_name": "text", "type": "labels",
         "value": {"start": 0, "end": 4, "text": "Some", "labels": ["Irrelevant"]}},
        {"type": "relation", "from_id": "a", "to_id": "a", "direction": "right"},
    ]  # fmt: skip
    task = {
        "data": {"question": "What?", "response": "Some text.", "passages": [["T", "S."]]},
        "annotations": [{"id": 1, "completed_by": 1, "result": marks}],
    }
    file = tmp_path / "export.json"
    file.write_text(json.dumps(task, indent=2))
    code, _, message = invoke("import", file, "--format", "label-studio")
    assert code == 1
    assert "No record of" in message
    report = json.loads(invoke("import", file, "--format", "label-studio", "--map", "label=errors", "--json")[1])
    assert (report["stored"], report["left_out"]) == (1, {"relations": 1})
    remarks = invoke("import", file, "--format", "label-studio", "--map", "label=errors")[2]
    assert "1 already stored" in remarks
    assert "Left out of imported records: 1 relations." in remarks
    assert json.loads(invoke("stats", "--json")[1])["labels"] == {"Irrelevant": 1}


def test_a_reason_that_cannot_be_printed_is_printed(store, tmp_path):
    """JSON may hold half of a surrogate pair, and people's files hold brackets that look like markup."""
    mark = {"id": "a", "from_name": "[/x]\ud800", "type": "labels", "value": {}}
    task = {"data": {"question": "What?", "response": "Text."}, "annotations": [{"result": [mark]}]}
    good = {"data": {"question": "What?", "response": "Text."}, "annotations": [{"result": []}]}
    (tmp_path / "export.json").write_text(json.dumps([task, good]))
    code, _, remarks = invoke("import", tmp_path / "export.json", "--format", "label-studio")
    assert code == 0
    assert "record 1: The control '[/x]\\ud800' is unknown" in remarks


def test_texts_without_spans_are_imported_if_somebody_says_that_they_are_clean(store, tmp_path):
    row = {"text": "Some text.", "label": [], "question": "What?", "passages": []}
    (tmp_path / "all.jsonl").write_text(json.dumps(row) + "\n")
    assert invoke("import", tmp_path / "all.jsonl", "--format", "doccano")[0] == 1
    assert invoke("import", tmp_path / "all.jsonl", "--format", "doccano", "--empty-is-clean")[2].startswith("1 stored")


def test_stats_count_feedback_and_questions_the_models_were_not_fitted_on(imported):
    report = json.loads(invoke("stats", "--json")[1])
    assert report["counts"]["annotations"] == 24
    assert report["rewards"]["questions_not_seen"] == 24
    assert report["agreement"]["people"]["categories"]["relevance"]["alpha"] is None
    code, out, _ = invoke("stats")
    assert code == 0
    assert "shared answers" in out


def test_stats_show_what_was_skipped_and_why(imported):
    async def skip():
        opened = await open_store(imported)
        await opened.sign_in("Ann", Caller("key:3f9a1c20", frozenset({"feedback"})))
        offered = await opened.next_response_for("Ann")
        await opened.skip("Ann", offered.response.id, "I cannot judge it")
        await opened.close()

    assert "Skipped" not in invoke("stats")[1]
    asyncio.run(skip())
    table = invoke("stats")[1].partition("Skipped")[2]
    assert re.search(r"annotation\W+cannot judge\W+1\W", table)


def test_people_are_listed_retired_and_deleted(imported):
    (entry,) = json.loads(invoke("annotators", "--json")[1])
    assert (entry["name"], entry["retired"]) == ("imported", None)
    assert json.loads(invoke("annotators", "--retire", "imported", "--json")[1])[0]["retired"]
    assert invoke("delete-person", "imported", input="n\n")[0] == 1
    deleted = json.loads(invoke("delete-person", "imported", "--yes", "--json")[1])
    assert deleted["annotations"] == 24
    assert json.loads(invoke("prune", "--older-than", "0", "--json")[1]) == {"responses": 96}
    with pytest.raises(FgctlError, match="There are no annotations in"):
        load_feedback_from(imported)


def test_a_name_is_shown_with_its_key_and_released(store):
    async def sign_in():
        opened = await open_store(store)
        await opened.sign_in("Ann", Caller("key:3f9a1c20", frozenset({"feedback"})))
        await opened.close()

    asyncio.run(sign_in())
    assert "key:3f9a1c20" in invoke("annotators")[1]
    (entry,) = json.loads(invoke("annotators", "--release", "Ann", "--json")[1])
    assert (entry["name"], entry["caller"]) == ("Ann", None)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("stats",), "FGCTL_FEEDBACK_STORE"),
        (("import", FILE, "--format", "csv"), "choose qa-feedback, label-studio, argilla, doccano, prodigy"),
        (("import", FILE, "--format", "prodigy", "--map", "x=y"), "for prodigy, CONTROL is spans or ignore."),
        (("import", FILE, "--format", "argilla", "--map", "errors"), "--map errors is not NAME=CONTROL"),
        (("import", FILE, "--map", "x=ignore"), "leave out --map"),
        (("import", "none.json"), "does not exist"),
        (("stats", "--store", "mysql://host/db"), "sqlite:///PATH"),
    ],
)
def test_mistakes_are_answered_with_a_sentence(arguments, part):
    code, _, message = invoke(*arguments)
    assert code == 1
    assert part in message


def test_a_store_is_distinguished_from_a_file_and_named_without_its_password():
    assert is_store("sqlite:///a.db")
    assert is_store("postgresql://u@h/d")
    assert not is_store("feedback.json")
    assert not is_store("C:/sqlite/a.json")
    assert store_name("postgresql://ann:secret@db.example.org:5433/feedback") == "db.example.org/feedback"
    assert store_name("sqlite:////var/lib/fgctl/feedback.db") == "feedback.db"


@pytest.mark.slow
def test_rewards_are_fitted_on_a_store_and_say_what_it_changed(imported, tmp_path):
    target = tmp_path / "rewards.json"
    result = run.invoke(app, ["rewards", "fit", "--data", imported, "--out", str(target), "--json"])
    assert result.exception is None, result.exception
    report = json.loads(result.stdout)
    assert (report["questions"], report["annotations"]) == (24, 24)
    assert report["change"]["new"]["questions"] == 24
    assert report["change"]["new"]["before"]["relevance"]["n"] == report["relevance"]["n"]
    written = json.loads(Path(target).read_text(encoding="utf-8"))
    assert written["data"] == report["data"] == {"feedback.db": load_feedback_from(imported).digest}
    assert written["annotations"] == 24
