"""Records as Argilla writes them, and which of them are refused."""

import json
from pathlib import Path
from typing import Any

from rewards.dataset import MissingInfo, SpanError
from service.feedback.exchange.argilla import read, record
from service.feedback.exchange.item import Item, Refusal
from service.feedback.exchange.passage_text import render

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
    items = read_record(tmp_path, responses)
    assert [(item.annotator, item.corrected) for item in items] == [(USER, "One."), ("u-2", "Two.")]
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
