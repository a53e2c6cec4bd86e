"""Records as Argilla itself writes them, and what of them is refused."""

import json
from pathlib import Path
from typing import Any

from rewards.dataset import MissingInfo, SpanError
from service.feedback.exchange import Item, Refusal
from service.feedback.exchange.argilla import read, record
from service.feedback.exchange.context import render

PASSAGES = (("Rockets", "They fly 🚀 high.", "They are loud."),)
ITEM = Item("What flies?", PASSAGES, ("Some text yeah 🚀 rocket",), annotator="ann", submission_id="s-1")
USER = "3f1c2a34-7a0e-4c1e-9d6c-0d5b6a1e2f00"


def taken(tmp_path: Path, responses: dict[str, Any]) -> list[Any]:
    path = tmp_path / "records.json"
    path.write_text(json.dumps([record(ITEM) | {"responses": responses}]), encoding="utf-8")
    return list(read(path))


def answer(value: Any, user: str = USER, **more: Any) -> list[dict[str, Any]]:
    return [{"value": value, "user_id": user, **more}]


def test_offsets_count_utf16_units(tmp_path: Path) -> None:
    """The page takes the browser's selection offsets as they are: issue 5729 of argilla-io/argilla."""
    (found,) = taken(tmp_path, {"errors": answer([{"label": "Irrelevant", "start": 18, "end": 24}])})
    assert found.errors == (SpanError(label="Irrelevant", start=17, end=23),)
    assert (found.annotator, found.submission_id) == (USER, None)


def test_a_span_that_cuts_a_character_is_refused(tmp_path: Path) -> None:
    (found,) = taken(tmp_path, {"errors": answer([{"label": "Irrelevant", "start": 16, "end": 24}])})
    assert found == Refusal("record 1", "Offset 16 in UTF-16 units lies within a character.")
    (found,) = taken(tmp_path, {"errors": answer([{"label": "Irrelevant", "start": 18, "end": 25}])})
    assert "outside" in found.reason


def test_each_user_is_an_item_and_drafts_are_none(tmp_path: Path) -> None:
    responses = {
        "corrected": answer("One.") + answer("Two.", "u-2") + answer("Three.", "u-3", status="draft"),
        "notes": answer("because"),
    }
    found = taken(tmp_path, responses)
    assert [(one.annotator, one.corrected) for one in found] == [(USER, "One."), ("u-2", "Two.")]
    assert taken(tmp_path, {}) == [Refusal("record 1", "Nobody has annotated it.")]


def test_what_a_person_writes_as_notes_explains_every_error(tmp_path: Path) -> None:
    spans = [{"label": "Irrelevant", "start": 0, "end": 4}, {"label": "Redundant", "start": 5, "end": 9}]
    (found,) = taken(tmp_path, {"errors": answer(spans), "notes": answer("off the point")})
    assert [e.explanation for e in found.errors] == ["off the point"] * 2


def test_missing_information_is_marked_on_the_passages(tmp_path: Path) -> None:
    context = render(PASSAGES)
    start, end = context.spans[1, 2]
    marked = [{"label": "Missing-Answer", "start": start + 1, "end": end + 1}]  # an emoji stands before the sentence
    (found,) = taken(tmp_path, {"missing": answer(marked)})
    assert found.missing == (MissingInfo(label="Missing-Answer", passage_id=1, sentence_id=(2,)),)


def test_a_strange_record_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text('{"fields": {}}\n\n{"fields"\n{"responses": {"corrected": [{"value": "a"}]}, "fields": {}}\n')
    found = list(read(path))
    assert [one.where for one in found if isinstance(one, Refusal)] == ["line 1", "line 3", "line 4"]
