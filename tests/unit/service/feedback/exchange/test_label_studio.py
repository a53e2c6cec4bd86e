"""Exports as Label Studio writes them, and which annotations are refused."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from rewards.categories import MISSING_LABELS, SPAN_LABELS
from rewards.dataset import MissingInfo, SpanError
from service.feedback.exchange.item import Item, Refusal
from service.feedback.exchange.label_studio import LABELING_CONFIG, read, task
from service.feedback.exchange.passage_text import render

PASSAGES = [["Rockets", "They fly 🚀 high.", "They are loud."], ["Birds", "Birds sing."]]
RESPONSE = "Some text yeah 🚀 rocket"
DATA = {"question": "What flies?", "passages": PASSAGES, "response": RESPONSE}


def region(name: str, start: int, end: int, text: str, label: str, region_id: str = "gew3t9fgkg") -> dict[str, Any]:
    value = {"start": start, "end": end, "text": text, "labels": [label]}
    on = "context" if name == "missing" else "response"
    return {"id": region_id, "from_name": name, "to_name": on, "type": "labels", "origin": "manual", "value": value}


def read_annotation(tmp_path: Path, *results: dict[str, Any], data: dict[str, Any] = DATA, **annotation: Any) -> Any:
    path = tmp_path / "export.json"
    entry = {"id": 9, "completed_by": 1, "result": list(results), "was_cancelled": False} | annotation
    path.write_text(json.dumps([{"id": 1, "data": data, "annotations": [entry], "predictions": []}]), encoding="utf-8")
    (outcome,) = read(path)
    return outcome


def test_offsets_count_code_points(tmp_path: Path) -> None:
    item = read_annotation(tmp_path, region("errors", 17, 23, "rocket", "Irrelevant"))
    assert item.errors == (SpanError(label="Irrelevant", start=17, end=23),)
    assert item.annotator == "1"


def test_offsets_of_older_versions_count_utf16_units(tmp_path: Path) -> None:
    """As in issue 1347 of HumanSignal/label-studio: the emoji before the word counts twice."""
    item = read_annotation(tmp_path, region("errors", 18, 24, "rocket", "Irrelevant"))
    assert item.errors == (SpanError(label="Irrelevant", start=17, end=23),)


def test_a_region_whose_text_differs_is_refused(tmp_path: Path) -> None:
    refusal = read_annotation(tmp_path, region("errors", 3, 9, "rocket", "Irrelevant"))
    assert isinstance(refusal, Refusal)
    assert refusal.where == "record 1"
    assert "'rocket'" in refusal.reason


def test_marks_on_the_passages_are_missing_information(tmp_path: Path) -> None:
    context = render(PASSAGES)
    start, end = context.spans[1, 1][0] + 2, context.spans[2, 1][0] + 5
    item = read_annotation(tmp_path, region("missing", start, end, context.text[start:end], "Missing-Answer"))
    assert item.missing == (
        MissingInfo(label="Missing-Answer", passage_id=1, sentence_id=(1, 2)),
        MissingInfo(label="Missing-Answer", passage_id=2, sentence_id=(1,)),
    )


def test_an_explanation_belongs_to_its_region(tmp_path: Path) -> None:
    marks = [region("errors", 0, 4, "Some", "Irrelevant", "a"), region("errors", 5, 9, "text", "Redundant", "b")]
    why = region("explanation", 5, 9, "", "", "b") | {"type": "textarea"}
    why["value"] = {"start": 5, "end": 9, "text": ["said before"]}
    item = read_annotation(tmp_path, *marks, why)
    assert [e.explanation for e in item.errors] == ["", "said before"]


def test_an_annotation_made_there_is_its_users_and_an_exported_one_stays_its_annotators(tmp_path: Path) -> None:
    item = Item("What flies?", tuple(map(tuple, PASSAGES)), (RESPONSE,), annotator="ann", submission_id="s-1")
    exported = task(item)
    ours = read_annotation(tmp_path, data=exported["data"], unique_id="s-1", completed_by=7)
    theirs = read_annotation(
        tmp_path, data=exported["data"], unique_id="s-2", completed_by={"id": 7, "email": "bo@example.org"}
    )
    assert (ours.annotator, ours.submission_id) == ("ann", "s-1")
    assert (theirs.annotator, theirs.submission_id) == ("bo@example.org", "s-2")


def test_a_refusal_says_why(tmp_path: Path) -> None:
    skipped = read_annotation(tmp_path, was_cancelled=True)
    unknown = read_annotation(tmp_path, region("errors", 0, 4, "Some", "Person"))
    textless = {"start": 20, "end": 90, "labels": ["Irrelevant"]}
    beyond = read_annotation(tmp_path, region("errors", 20, 90, "", "Irrelevant") | {"value": textless})
    no_answer = read_annotation(tmp_path, data={"question": "q", "passages": []})
    assert skipped == Refusal("record 1", "The annotator skipped it.")
    assert "Person" in unknown.reason
    assert "23 characters" in beyond.reason
    assert "response" in no_answer.reason
    path = tmp_path / "min.json"
    path.write_text('[{"id": 3, "text": "a", "label": []}, 5]', encoding="utf-8")
    first, second = read(path)
    assert isinstance(first, Refusal)
    assert "JSON-MIN" in first.reason
    assert second == Refusal("record 2", "It is not a JSON object.")


def test_the_labelling_interface_has_every_label_and_control() -> None:
    view = ET.fromstring(LABELING_CONFIG)  # noqa: S314, our own text
    assert {label.get("value") for label in view.iter("Label")} == {*SPAN_LABELS, *MISSING_LABELS}
    item = Item(
        "q", (("T", "S."),), ("ab", "cd"), (SpanError(label="Irrelevant", start=0, end=1, explanation="e"),),
        (MissingInfo(label="Missing-Answer", passage_id=1, sentence_id=(1,)),), "abc", (1, 0, 0, 0, 0, 0),
    )  # fmt: skip
    used = {(part["from_name"], part["to_name"]) for part in task(item)["annotations"][0]["result"]}
    assert used <= {(control.get("name"), control.get("toName")) for control in view.iter()}


def test_the_labelling_interface_is_documented() -> None:
    assert LABELING_CONFIG in (Path(__file__).parents[5] / "docs/feedback.md").read_text(encoding="utf-8")
