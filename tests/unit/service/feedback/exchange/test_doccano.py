"""doccano's JSON lines, and which of them are refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from rewards.dataset import MissingInfo, SpanError
from service.feedback.exchange.doccano import read, write
from service.feedback.exchange.item import AS_WRITTEN, Item, LeftOut, ReadOptions, Refusal

PASSAGES = [["Rockets", "They fly 🚀 high.", "They are loud."]]
ROW = {"id": 1, "text": "Some text yeah 🚀 rocket", "question": "What flies?", "passages": PASSAGES}
SPANS = (SpanError(label="Redundant", start=5, end=9), SpanError(label="Irrelevant", start=17, end=23))


def read_rows(tmp_path: Path, *rows: dict[str, Any], options: ReadOptions = AS_WRITTEN) -> list[Any]:
    path = tmp_path / "all.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return list(read(path, options))


@pytest.mark.parametrize(
    "column",
    [
        {"label": [[5, 9, "Redundant"], [17, 23, "Irrelevant"]]},
        {"labels": [[5, 9, "Redundant"], [17, 23, "Irrelevant"]]},
        {
            "entities": [
                {"id": 7, "label": "Redundant", "start_offset": 5, "end_offset": 9},
                {"id": 8, "label": "Irrelevant", "start_offset": 17, "end_offset": 23},
            ],
            "relations": [],
            "Comments": [],
        },
    ],
)
def test_spans_of_every_version_are_read_in_code_points(tmp_path: Path, column: dict[str, Any]) -> None:
    (item,) = read_rows(tmp_path, ROW | column)
    assert item == Item("What flies?", (tuple(PASSAGES[0]),), (ROW["text"],), SPANS)


def test_question_and_passages_may_be_in_the_metadata(tmp_path: Path) -> None:
    row = {"text": ROW["text"], "label": [[5, 9, "Redundant"]], "meta": {"question": "What?", "passages": PASSAGES}}
    (item,) = read_rows(tmp_path, row)
    assert (item.question, item.errors) == ("What?", SPANS[:1])


def test_a_text_without_spans_is_clean_only_if_somebody_says_so(tmp_path: Path) -> None:
    (refusal,) = read_rows(tmp_path, ROW | {"label": []})
    assert "does not say whether that means no errors or not annotated" in refusal.reason
    (item,) = read_rows(tmp_path, ROW | {"label": []}, options=ReadOptions(empty_is_clean=True))
    assert item.errors == ()


def test_a_row_without_the_column_of_spans_is_refused_or_mapped(tmp_path: Path) -> None:
    row = ROW | {"spans": [[5, 9, "Redundant"]]}
    (refusal,) = read_rows(tmp_path, row)
    assert refusal == Refusal(
        "line 1",
        "It has the columns id, text, question, passages, spans, but no label; add --map COLUMN=label for that with "
        "spans.",
    )
    (item,) = read_rows(tmp_path, row, options=ReadOptions({"spans": "label"}))
    assert item.errors == SPANS[:1]


def test_what_is_not_read_is_counted(tmp_path: Path) -> None:
    row = ROW | {"label": [[5, 9, "Redundant"]], "relations": [{"id": 1}], "Comments": ["a", "b"], "cats": []}
    _, *left_out = read_rows(tmp_path, row)
    assert left_out == [LeftOut("line 1", "relations"), *[LeftOut("line 1", "comments")] * 2]


@pytest.mark.parametrize(
    ("row", "part"),
    [
        (
            ROW | {"label": ["positive"]},
            '"positive" is not [start, end, label]; export a project',
        ),
        (ROW | {"label": [[5, 9, "PER"]]}, "There is no label 'PER'"),
        (ROW | {"label": [[5, 99, "Redundant"]]}, "23 characters"),
        (
            {"text": "a", "label": [[0, 1, "Redundant"]]},
            "The data has text, label, but no question; needed are",
        ),
        *(
            (ROW | {column: value}, f"The column {column} is {shown}, not a list of [start, end, label]; export")
            for column in ("label", "entities")
            for value, shown in ((0, "0"), (1, "1"), (False, "false"), (True, "true"), ("", '""'), ({}, "{}"))
        ),
        (
            ROW | {"label": [[5, 9, "Redundant"]], "relations": 5},
            "The column relations is 5, not a list of relations; export a project of sequence labelling.",
        ),
        (ROW | {"label": [[5, 9, "Redundant"]], "feedback": {"preference": []}}, "at least 6 items"),
        (
            ROW | {"label": [[5, 9, "Redundant"]], "feedback": {"preference": [7, 0, 0, 0, 0, 0]}},
            "less than or equal to 2",
        ),
        (ROW | {"label": [[5, 9, "Redundant"]], "feedback": 1}, "Input should be an object."),
        (ROW | {"text": 5, "label": [[0, 1, "Redundant"]]}, "Field text is not text."),
        (ROW | {"label": [[5, 9, "Redundant"]], "entities": [{"label": "x"}]}, "Both entities and label have spans"),
    ],
)
def test_a_refusal_says_why(tmp_path: Path, row: dict[str, Any], part: str) -> None:
    (refusal,) = read_rows(tmp_path, row)
    assert part in refusal.reason


def test_what_doccano_cannot_show_comes_back_beside_changed_spans(tmp_path: Path) -> None:
    gap = MissingInfo(label="Missing-Answer", passage_id=1, sentence_id=(2,))
    errors = (SpanError(label="Irrelevant", start=17, end=23, explanation="why"), SPANS[0])
    item = Item(
        "What flies?", (tuple(PASSAGES[0]),), (ROW["text"], "Other."), errors, (gap,), "Better.", annotator="ada"
    )
    write([item], tmp_path / "out.jsonl")
    (row,) = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert row["label"] == [[17, 23, "Irrelevant"], [5, 9, "Redundant"]]
    assert read_rows(tmp_path, row | {"label": sorted(row["label"])}) == [item]
    (changed,) = read_rows(tmp_path, row | {"label": [[0, 4, "Unverifiable"], [17, 23, "Irrelevant"]]})
    assert changed.errors == (errors[0], SpanError(label="Unverifiable", start=0, end=4))
    assert (changed.missing, changed.corrected, changed.annotator) == ((gap,), "Better.", "ada")
    (emptied,) = read_rows(tmp_path, row | {"label": []})
    assert isinstance(emptied, Refusal)
