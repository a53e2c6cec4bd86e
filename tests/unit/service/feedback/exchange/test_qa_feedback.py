"""Which rows of QA-Feedback's format are refused and why, and the stand-ins for missing responses."""

import json
from pathlib import Path
from typing import Any

import pytest

from rewards.dataset import SAMPLE, load_feedback
from rewards.errors import FgctlError
from service.feedback.exchange.item import Item, Refusal, objection, response_of, submission_of
from service.feedback.exchange.qa_feedback import read, row, write

ROWS = json.loads((SAMPLE / "feedback.json").read_text(encoding="utf-8"))


def refusals(tmp_path: Path, *rows: Any) -> list[Refusal]:
    path = tmp_path / "feedback.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    return [record for record in read(path) if isinstance(record, Refusal)]


def changed(**feedback: Any) -> dict[str, Any]:
    return ROWS[0] | {"feedback": ROWS[0]["feedback"] | feedback}


def test_refusals_say_which_record_and_why(tmp_path: Path) -> None:
    span = {"error type": "Irrelevant", "explanation": "", "start": 0, "end": 10**6}
    gap = {"error type": "Missing-Answer", "passage_id": 99, "sentence_id": [1]}
    refused = refusals(
        tmp_path,
        ROWS[0],
        ROWS[1] | {"preference": [1]},
        changed(errors=[span]),
        changed(errors=[span | {"end": 4, "error type": "Missing-Answer"}]),
        changed(**{"missing-info": [gap]}),
    )
    assert [refusal.where for refusal in refused] == ["record 2", "record 3", "record 4", "record 5"]
    for refusal, part in zip(refused, ("preference", "1000000", "Missing-Answer applies", "passage 99"), strict=True):
        assert part in refusal.reason


def test_an_empty_span_is_refused(tmp_path: Path) -> None:
    span = {"error type": "Irrelevant", "explanation": "", "start": 3, "end": 3}
    (refusal,) = refusals(tmp_path, changed(errors=[span]))
    assert "The span at 3 is empty" in refusal.reason


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FgctlError, match="does not exist"):
        list(read(tmp_path / "none.json"))
    (tmp_path / "cut.json").write_text('[{"question": ')
    with pytest.raises(FgctlError, match="not JSON"):
        list(read(tmp_path / "cut.json"))


def test_a_single_response_is_written_four_times_and_read_once(tmp_path: Path) -> None:
    item = Item("What?", (("T", "S."),), ("An answer.",), annotator="ann")
    path = tmp_path / "one.json"
    write([item], path)
    assert list(read(path)) == [item]
    (example,) = load_feedback(path)
    assert set(example.predictions) == {"An answer."}


def test_ids_derived_from_the_content_differ_by_person_and_response() -> None:
    item = Item("What?", (), ("a", "b"), annotator="ann")
    other = Item("What?", (), ("a", "b"), annotator="bo")
    assert submission_of(item) == submission_of(Item("What?", (), ("a", "b"), annotator="ann", response_id="r"))
    assert submission_of(item) != submission_of(other)
    assert response_of(item) == response_of(other) != response_of(item, 1)


def test_a_preference_needs_its_responses() -> None:
    assert objection(Item("What?", (), ("a", "b"), preference=(1, 0, 0, 0, 0, 0))) is None
    assert "one of answers 1 and 3" in (objection(Item("What?", (), ("a", "b"), preference=(0, 2, 0, 0, 0, 0))) or "")
    assert row(Item("What?", (), ("a", "b")))["prediction 4"] == "a"
