"""Exports as Label Studio writes them, and which annotations are refused."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from rewards.categories import MISSING_LABELS, SPAN_LABELS
from rewards.dataset import SAMPLE, MissingInfo, SpanError
from service.feedback.exchange import format_named
from service.feedback.exchange.item import AS_WRITTEN, Item, ReadOptions, Refusal, submission_of
from service.feedback.exchange.label_studio import LABELING_CONFIG, read, task
from service.feedback.exchange.tasks.passage_text import render
from tests.unit.service.feedback.exchange.label_studio_itself import exported, made_there

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
    number = exported["annotations"][0]["id"]
    ours = read_annotation(tmp_path, data=exported["data"], unique_id="s-7", import_id=number, completed_by=7)
    theirs = read_annotation(
        tmp_path,
        data=exported["data"],
        unique_id="s-2",
        import_id=None,
        completed_by={"id": 7, "email": "bo@example.org"},
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


def relation() -> dict[str, Any]:
    return {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right", "labels": []}


def read_parts(tmp_path: Path, *results: dict[str, Any], options: ReadOptions = AS_WRITTEN, **annotation: Any) -> list:
    path = tmp_path / "export.json"
    entry = {"id": 9, "completed_by": 1, "result": list(results), "import_id": None} | annotation
    path.write_text(json.dumps([{"data": DATA, "annotations": [entry]}]), encoding="utf-8")
    return list(read(path, options))


def test_relations_and_regions_without_a_label_are_left_out_and_the_spans_stay(tmp_path: Path) -> None:
    bare = region("errors", 5, 9, "text", "", "b")
    del bare["value"]["labels"]
    empty = region("errors", 5, 9, "text", "", "c")
    empty["value"]["labels"] = []
    spans = region("errors", 0, 4, "Some", "Irrelevant", "a")
    item, *left_out = read_parts(tmp_path, spans, relation(), bare, empty)
    assert item.errors == (SpanError(label="Irrelevant", start=0, end=4),)
    assert [part.what for part in left_out] == ["relations", "regions without a label", "regions without a label"]


@pytest.mark.parametrize(
    ("name", "kind"), [("label", "labels"), ("ner", "labels"), ("sentiment", "choices"), ("", "labels")]
)
def test_a_control_of_an_unknown_name_is_refused_and_not_taken_for_no_errors(
    tmp_path: Path, name: str, kind: str
) -> None:
    mark = region("errors", 0, 4, "Some", "Irrelevant") | {"from_name": name, "type": kind}
    (refusal,) = read_parts(tmp_path, mark)
    assert refusal.where == "record 1"
    assert f"The control {name!r} is unknown; known are errors, missing, explanation, corrected" in refusal.reason
    assert f"--map {name}=errors" in refusal.reason


def test_a_control_of_another_name_is_mapped_or_left_out(tmp_path: Path) -> None:
    marks = [
        region("label", 0, 4, "Some", "Irrelevant", "a"),
        {"id": "b", "from_name": "stars", "to_name": "response", "type": "rating", "value": {"rating": 3}},
    ]
    (item,) = read_parts(tmp_path, *marks, options=ReadOptions({"label": "errors", "stars": "ignore"}))
    assert item.errors == (SpanError(label="Irrelevant", start=0, end=4),)


def test_marks_on_text_that_is_not_plain_are_refused(tmp_path: Path) -> None:
    mark = region("errors", 0, 4, "Some", "Irrelevant") | {"type": "hypertextlabels"}
    mark["value"]["hypertextlabels"] = mark["value"].pop("labels")
    (refusal,) = read_parts(tmp_path, mark)
    assert refusal.reason == "The control 'errors' has the type 'hypertextlabels'; use the tag Labels."


@pytest.mark.parametrize(
    ("reviews", "accepted"),
    [
        ([], True),
        ([{"accepted": True}], True),
        ([{"accepted": False}, {"accepted": True}], True),
        ([{"accepted": False}], False),
        ([{"accepted": True}, {"accepted": False}], False),
    ],
)
def test_an_annotation_that_the_last_review_rejected_is_left_out(
    tmp_path: Path, reviews: list[dict[str, Any]], accepted: bool
) -> None:
    (outcome,) = read_parts(tmp_path, region("errors", 0, 4, "Some", "Irrelevant"), reviews=reviews)
    assert isinstance(outcome, Item) == accepted
    assert accepted or outcome == Refusal("record 1", "A review has rejected it.")


@pytest.mark.parametrize("choices", [["better"], [], ["Tie"]])
def test_an_unknown_choice_is_refused_with_its_name_and_the_choices(tmp_path: Path, choices: list[str]) -> None:
    value = {"choices": choices}
    mark = {"id": "x", "from_name": "preference_12", "to_name": "response", "type": "choices", "value": value}
    (refusal,) = read_parts(tmp_path, mark)
    chosen = choices[0] if choices else None
    assert refusal.reason == f"The choice of preference_12 is {chosen!r}; choose tie, first, second."


def test_a_project_with_other_data_is_told_what_it_has_and_what_is_needed(tmp_path: Path) -> None:
    refusal = read_annotation(
        tmp_path, region("label", 0, 4, "Some", "PER"), data={"text": "Some text.", "source": "x"}
    )
    assert refusal.reason == (
        "The data has text, source, but no question and no response; needed are question, response and passages, a "
        "list with the title and the sentences of each."
    )


@pytest.mark.parametrize(
    "entry",
    [
        {"result": None},
        {"result": ["x"]},
        {"result": [{"from_name": "errors", "type": "labels", "value": "x"}]},
        {"result": [{"from_name": "errors", "type": "labels", "value": {"labels": "x"}}]},
        {"result": [{"from_name": "errors", "type": "labels", "value": {"labels": ["Irrelevant"]}}]},
        {"result": [], "completed_by": [1]},
        {},
        None,
        "x",
    ],
)
def test_a_refusal_never_shows_an_exception(tmp_path: Path, entry: Any) -> None:
    path = tmp_path / "export.json"
    path.write_text(json.dumps([{"data": DATA, "annotations": [entry]}]), encoding="utf-8")
    (refusal,) = read(path)
    assert isinstance(refusal, Refusal)
    assert not re.search(r"Error|Exception|Traceback|None of|\(<", refusal.reason)
    assert refusal.reason.endswith(".")


def items() -> list[Item]:
    parts = list(format_named("qa-feedback").read(SAMPLE / "feedback.json"))
    return [replace(part, where="") for part in parts[:6] if isinstance(part, Item)] + [
        Item("What flies?", tuple(map(tuple, PASSAGES)), (RESPONSE,), annotator="ada")  # without any mark
    ]


def returned(tmp_path: Path, tasks: list[dict[str, Any]]) -> list[Any]:
    path = tmp_path / "returned.json"
    path.write_text(json.dumps(tasks), encoding="utf-8")
    return list(read(path))


def test_what_comes_back_from_label_studio_unchanged_is_what_was_exported(tmp_path: Path) -> None:
    assert returned(tmp_path, exported([task(item) for item in items()])) == items()


def test_regions_that_label_studio_reordered_come_back_in_order(tmp_path: Path) -> None:
    tasks = exported([task(item) for item in items()])
    for entry in tasks:
        entry["annotations"][0]["result"].reverse()
    assert returned(tmp_path, tasks) == items()


def test_a_changed_annotation_stays_its_annotators_and_keeps_its_id(tmp_path: Path) -> None:
    """With and without an id of its own, with marks and without, whatever is left of the marks."""
    for item in [*items(), replace(items()[0], submission_id="s-1", annotator="ada")]:
        (entry,) = exported([task(item)])
        entry["annotations"][0]["result"] = [region("errors", 0, 4, item.predictions[0][:4], "Unverifiable")]
        (changed,) = returned(tmp_path, [entry])
        assert changed.annotator == item.annotator
        assert changed.submission_id == submission_of(item)
        assert [error.label for error in changed.errors] == ["Unverifiable"]


def test_an_annotation_made_beside_an_exported_one_is_its_users_even_if_it_says_the_same(tmp_path: Path) -> None:
    for item in items():
        (entry,) = exported([task(item)])
        copied = made_there(40, 2, entry["annotations"][0]["result"])
        entry["annotations"].append(copied)
        ours, theirs = returned(tmp_path, [entry])
        assert ours == item
        assert (theirs.annotator, theirs.submission_id) == ("2", copied["unique_id"])
        (alone,) = returned(tmp_path, [entry | {"annotations": [copied]}])  # the exported one was deleted there
        assert alone.annotator == "2"


def test_versions_that_keep_no_number_are_recognised_by_regions_and_content(tmp_path: Path) -> None:
    tasks = exported([task(item) for item in items()])
    for entry in tasks:
        del entry["annotations"][0]["import_id"]
    assert returned(tmp_path, tasks) == items()


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
