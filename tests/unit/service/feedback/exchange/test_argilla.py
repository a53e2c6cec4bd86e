"""Records as Argilla writes them, and which of them are refused."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from rewards.dataset import MissingInfo, SpanError
from service.feedback.exchange.argilla import read, record
from service.feedback.exchange.item import AS_WRITTEN, Item, LeftOut, ReadOptions, Refusal
from service.feedback.exchange.tasks.passage_text import render

PASSAGES = (("Rockets", "They fly 🚀 high.", "They are loud."),)
ITEM = Item("What flies?", PASSAGES, ("Some text yeah 🚀 rocket",), annotator="ann", submission_id="s-1")
USER = "3f1c2a34-7a0e-4c1e-9d6c-0d5b6a1e2f00"


def read_record(tmp_path: Path, responses: dict[str, Any]) -> list[Any]:
    path = tmp_path / "records.json"
    path.write_text(json.dumps([record(ITEM) | {"responses": responses}]), encoding="utf-8")
    return list(read(path))


def answer(value: Any, user: str = USER, **more: Any) -> list[dict[str, Any]]:
    return [{"value": value, "user_id": user, **more}]


def test_offsets_count_utf16_units(tmp_path: Path) -> None:
    """Argilla's page stores the browser's selection offsets unchanged: issue 5729 of argilla-io/argilla."""
    (item,) = read_record(tmp_path, {"errors": answer([{"label": "Irrelevant", "start": 18, "end": 24}])})
    assert item.errors == (SpanError(label="Irrelevant", start=17, end=23),)
    assert (item.annotator, item.submission_id) == (USER, None)


def test_a_span_that_cuts_a_character_is_refused(tmp_path: Path) -> None:
    (refusal,) = read_record(tmp_path, {"errors": answer([{"label": "Irrelevant", "start": 16, "end": 24}])})
    assert refusal == Refusal("record 1", "Offset 16 in UTF-16 units lies within a character.")
    (refusal,) = read_record(tmp_path, {"errors": answer([{"label": "Irrelevant", "start": 18, "end": 25}])})
    assert "outside" in refusal.reason


def test_each_user_is_an_item_and_drafts_are_ignored(tmp_path: Path) -> None:
    responses = {
        "corrected": answer("One.") + answer("Two.", "u-2") + answer("Three.", "u-3", status="draft"),
        "notes": answer("because"),
    }
    *items, left_out = read_record(tmp_path, responses)
    assert [(item.annotator, item.corrected) for item in items] == [(USER, "One."), ("u-2", "Two.")]
    assert left_out == LeftOut("record 1", "drafts and discarded answers")
    assert read_record(tmp_path, {}) == [Refusal("record 1", "Nobody has annotated it.")]


def test_free_text_notes_explain_every_error(tmp_path: Path) -> None:
    spans = [{"label": "Irrelevant", "start": 0, "end": 4}, {"label": "Redundant", "start": 5, "end": 9}]
    (item,) = read_record(tmp_path, {"errors": answer(spans), "notes": answer("off the point")})
    assert [e.explanation for e in item.errors] == ["off the point"] * 2


def test_missing_information_is_marked_on_the_passages(tmp_path: Path) -> None:
    context = render(PASSAGES)
    start, end = context.spans[1, 2]
    marked = [{"label": "Missing-Answer", "start": start + 1, "end": end + 1}]  # an emoji stands before the sentence
    (item,) = read_record(tmp_path, {"missing": answer(marked)})
    assert item.missing == (MissingInfo(label="Missing-Answer", passage_id=1, sentence_id=(2,)),)


def test_a_malformed_record_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text('{"fields": {}}\n\n{"fields"\n{"responses": {"corrected": [{"value": "a"}]}, "fields": {}}\n')
    records = list(read(path))
    assert [refusal.where for refusal in records if isinstance(refusal, Refusal)] == ["line 1", "line 3", "line 4"]


SPAN = {"label": "Irrelevant", "start": 0, "end": 4}
DRAFTED = Refusal("record 1", "It has only drafts and discarded answers.")


def read_row(tmp_path: Path, row: Any, options: ReadOptions = AS_WRITTEN) -> list[Any]:
    path = tmp_path / "records.json"
    path.write_text(json.dumps([row]), encoding="utf-8")
    return list(read(path, options))


def nested(**responses: Any) -> dict[str, Any]:
    """As `to_json` of Argilla 2 writes a record."""
    return {
        "id": "1", "fields": record(ITEM)["fields"], "metadata": {}, "suggestions": {}, "responses": responses,
        "vectors": {}, "status": "completed", "_server_id": "s",
    }  # fmt: skip


def flattened(**columns: Any) -> dict[str, Any]:
    """As `to_list(flatten=True)` of Argilla 2 writes one; columns that other records have are None."""
    answers = {
        f"{question}.responses{name}": column
        for question, content in columns.items()
        for name, column in zip(("", ".users", ".status"), content, strict=True)
    }
    return {"id": "1", "_server_id": "s", "status": "pending"} | record(ITEM)["fields"] | answers


def of_version_1(*responses: dict[str, Any]) -> dict[str, Any]:
    """As Argilla 1 writes one, which has fields of text alone."""
    fields = record(ITEM)["fields"]
    return {"id": "1", "fields": fields | {"source": json.dumps(fields["source"])}, "responses": list(responses)}


def test_answers_of_a_completed_record_count_and_those_of_a_pending_one_may_be_drafts(tmp_path: Path) -> None:
    (item,) = read_row(tmp_path, nested(errors=answer([SPAN])))
    assert item.errors == (SpanError(label="Irrelevant", start=0, end=4),)
    for status in ("pending", None):
        (refusal,) = read_row(tmp_path, nested(errors=answer([SPAN])) | {"status": status})
        assert refusal.reason == (
            "Its answers have no status and it is not completed, so they may be drafts; export the records by "
            "to_list(flatten=True), which has it."
        )


def test_a_flattened_export_says_whose_answers_were_submitted(tmp_path: Path) -> None:
    row = flattened(
        errors=([[SPAN], [], [SPAN]], [USER, "u-2", "u-3"], ["submitted", "draft", "discarded"]),
        corrected=(["Better."], [USER], ["submitted"]),
        missing=(None, None, None),
    )
    item, *left_out = read_row(tmp_path, row)
    assert (item.annotator, item.corrected, len(item.errors)) == (USER, "Better.", 1)
    assert left_out == [LeftOut("record 1", "drafts and discarded answers")] * 2
    assert read_row(tmp_path, flattened(errors=([[SPAN]], [USER], ["draft"]))) == [DRAFTED]


def test_records_of_argilla_1_are_read(tmp_path: Path) -> None:
    values = {"errors": {"value": [SPAN]}, "preference_12": {"value": "tie"}}
    submitted = {"user_id": USER, "values": values, "status": "submitted"}
    item, left_out = read_row(tmp_path, of_version_1(submitted, {"user_id": "u-2", "status": "discarded"}))
    assert (item.annotator, item.errors) == (USER, (SpanError(label="Irrelevant", start=0, end=4),))
    assert isinstance(left_out, LeftOut)
    assert read_row(tmp_path, of_version_1(submitted | {"status": "draft"})) == [DRAFTED]
    (refusal,) = read_row(tmp_path, of_version_1(submitted | {"status": None}))
    assert "no status" in refusal.reason


@pytest.mark.parametrize("shape", ["nested", "flattened", "of_version_1"])
def test_a_question_of_an_unknown_name_is_refused_or_mapped(tmp_path: Path, shape: str) -> None:
    row = {
        "nested": nested(span=answer([SPAN])),
        "flattened": flattened(span=([[SPAN]], [USER], ["submitted"])),
        "of_version_1": of_version_1({"user_id": USER, "values": {"span": {"value": [SPAN]}}, "status": "submitted"}),
    }[shape]
    (refusal,) = read_row(tmp_path, row)
    assert "The question 'span' is unknown; known are errors, missing, corrected, notes" in refusal.reason
    (item,) = read_row(tmp_path, row, ReadOptions({"span": "errors"}))
    assert item.errors == (SpanError(label="Irrelevant", start=0, end=4),)
    (item,) = read_row(tmp_path, row, ReadOptions({"span": "ignore"}))
    assert item.errors == ()


def test_two_questions_cannot_stand_for_the_same(tmp_path: Path) -> None:
    row = nested(span=answer([SPAN]), errors=answer([]))
    (refusal,) = read_row(tmp_path, row, ReadOptions({"span": "errors"}))
    assert refusal.reason.startswith("Two questions stand for 'errors'")


def test_an_unknown_choice_is_refused_with_its_name_and_the_choices(tmp_path: Path) -> None:
    (refusal,) = read_row(tmp_path, nested(preference_12=answer("better")))
    assert refusal.reason == "The choice of preference_12 is 'better'; choose tie, first, second."


def test_a_dataset_with_other_fields_is_told_what_it_has_and_what_is_needed(tmp_path: Path) -> None:
    (refusal,) = read_row(tmp_path, nested(errors=answer([SPAN])) | {"fields": {"text": "Some text."}})
    assert refusal.reason.startswith(
        "The data has text, but no question and no response and no source; needed are question, response, source"
    )


def test_an_exported_record_that_another_user_imported_stays_its_annotators(tmp_path: Path) -> None:
    """Users of Argilla have ids of their own; what was exported names itself in the notes."""
    row = record(ITEM)
    for answers in row["responses"].values():
        answers[0]["user_id"] = USER
    (item,) = read_row(tmp_path, row)
    assert item == ITEM


@pytest.mark.parametrize(
    "row",
    [
        {"fields": {}, "responses": {}},
        {"fields": None, "responses": {}},
        {"responses": "x"},
        nested(errors="x"),
        nested(errors=[None]),
        nested(errors=answer("x")),
        nested(errors=answer([{"start": 0, "end": 1}])),
        nested(corrected=answer(5)),
        flattened(errors=([[SPAN]], [], ["submitted"])),
        of_version_1({"values": ["x"]}),
        of_version_1() | {"responses": [None]},
        {},
    ],
)
def test_a_refusal_never_shows_an_exception(tmp_path: Path, row: Any) -> None:
    (refusal,) = read_row(tmp_path, row)
    assert isinstance(refusal, Refusal)
    assert not re.search(r"Error|Exception|Traceback|\(<", refusal.reason)
    assert refusal.reason.endswith(".")


def test_a_response_that_is_only_in_the_source_is_no_text_that_was_marked(tmp_path: Path) -> None:
    fields = record(ITEM)["fields"]
    source = fields["source"] | {"response": fields.pop("response")}
    (refusal,) = read_row(tmp_path, nested(errors=answer([SPAN])) | {"fields": fields | {"source": source}})
    assert "but no response; needed are question, response, source and passages" in refusal.reason


@pytest.mark.parametrize("source", [1, True, [], '"x"', "[]"])
def test_a_source_that_is_no_object_is_refused(tmp_path: Path, source: Any) -> None:
    row = nested(errors=answer([SPAN]))
    (refusal,) = read_row(tmp_path, row | {"fields": row["fields"] | {"source": source}})
    assert refusal.reason == "Field source is not a JSON object."
