"""Prodigy's JSON lines, and which of them are refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from rewards.dataset import SpanError
from service.feedback.exchange.item import AS_WRITTEN, Item, LeftOut, ReadOptions, Refusal
from service.feedback.exchange.prodigy import read, write

PASSAGES = [["Rockets", "They fly 🚀 high."]]
TASK = {
    "text": "Some text yeah 🚀 rocket",
    "meta": {"question": "What flies?", "passages": PASSAGES},
    "_input_hash": 1,
    "_task_hash": -2,
    "tokens": [{"text": "Some", "start": 0, "end": 4, "id": 0}],
    "spans": [{"start": 17, "end": 23, "token_start": 4, "token_end": 4, "label": "Irrelevant"}],
    "_view_id": "ner_manual",
    "answer": "accept",
    "_annotator_id": "answers-ada",
    "_session_id": "answers-ada",
}


def read_tasks(tmp_path: Path, *tasks: dict[str, Any], options: ReadOptions = AS_WRITTEN) -> list[Any]:
    path = tmp_path / "out.jsonl"
    path.write_text("".join(json.dumps(task) + "\n" for task in tasks), encoding="utf-8")
    return list(read(path, options))


def test_spans_are_read_in_code_points_and_belong_to_the_annotator(tmp_path: Path) -> None:
    (item,) = read_tasks(tmp_path, TASK)
    error = SpanError(label="Irrelevant", start=17, end=23)
    assert item == Item("What flies?", (tuple(PASSAGES[0]),), (TASK["text"],), (error,), annotator="answers-ada")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"answer": "reject"}, "The annotator rejected it."),
        ({"answer": "ignore"}, "The annotator skipped it."),
        ({"answer": None}, 'It has no "answer", so nobody has annotated it; import what `prodigy db-out` writes.'),
        ({"answer": "yes"}, "The answer is 'yes'; known are accept, reject and ignore."),
    ],
)
def test_only_accepted_tasks_count(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    assert read_tasks(tmp_path, TASK | change) == [Refusal("line 1", reason)]


def test_spans_under_another_name_are_mapped_and_not_taken_for_none(tmp_path: Path) -> None:
    task = {name: value for name, value in TASK.items() if name not in ("spans", "_view_id")}
    (refusal,) = read_tasks(tmp_path, task | {"_view_id": "choice", "accept": ["bad"]})
    assert "but no spans; add --map PROPERTY=spans" in refusal.reason
    (item,) = read_tasks(tmp_path, task | {"errors": TASK["spans"]}, options=ReadOptions({"errors": "spans"}))
    assert len(item.errors) == 1
    (item,) = read_tasks(tmp_path, task | {"_view_id": "spans_manual"})  # nothing was marked
    assert item.errors == ()


def test_relations_and_spans_without_a_label_are_left_out(tmp_path: Path) -> None:
    spans = [*TASK["spans"], {"start": 0, "end": 4}]
    item, *left_out = read_tasks(tmp_path, TASK | {"spans": spans, "relations": [{"head": 0, "child": 1}]})
    assert len(item.errors) == 1
    assert left_out == [LeftOut("line 1", "spans without a label"), LeftOut("line 1", "relations")]


def test_a_task_without_a_question_is_told_what_it_has_and_what_is_needed(tmp_path: Path) -> None:
    (refusal,) = read_tasks(tmp_path, {"text": "a", "spans": [], "answer": "accept"})
    assert refusal.reason.startswith("The data has text, spans, answer, but no question; needed are question, text")


def test_what_an_annotator_made_of_an_exported_task_is_theirs(tmp_path: Path) -> None:
    item = Item("What flies?", (tuple(PASSAGES[0]),), ("Some text.",), annotator="bo", submission_id="s-1")
    write([item], tmp_path / "tasks.jsonl")
    task = json.loads((tmp_path / "tasks.jsonl").read_text(encoding="utf-8"))
    assert read_tasks(tmp_path, task) == [item]
    (theirs,) = read_tasks(tmp_path, task | {"_annotator_id": "answers-ada"})
    assert (theirs.annotator, theirs.submission_id) == ("answers-ada", None)
