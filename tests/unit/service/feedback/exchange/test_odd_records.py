"""A record with one odd value, or without one of its keys, is an item or refused for a reason, in every format."""

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from rewards.categories import MISSING_LABELS, SPAN_LABELS
from rewards.dataset import MissingInfo, SpanError
from service.feedback.exchange import FORMATS, format_named
from service.feedback.exchange.importing import feedback_of
from service.feedback.exchange.item import Item, LeftOut, ReadOptions, Refusal
from service.feedback.exchange.usable import read_item

ITEM = Item(
    "What flies?",
    (("Rockets", "They fly 🚀 high.", "They are loud."),),
    ("Some text yeah 🚀 rocket", "Other."),
    (SpanError(label=SPAN_LABELS[0], start=5, end=9, explanation="why"),),
    (MissingInfo(label=MISSING_LABELS[0], passage_id=1, sentence_id=(1, 2)),),
    corrected="Better.",
    preference=(1, 0, 0, 0, 0, 0),
    gold="They fly.",
    annotator="ada",
    response_id="r1",
    submission_id="s1",
    other_ids=("r2",),
)
ABSENT = object()
ADDED: dict[str, list[dict[str, Any]]] = {
    "label-studio": [
        {
            "annotations": [
                {
                    "id": 1, "unique_id": "u", "import_id": 2, "completed_by": {"id": 1, "email": "ada@example.org"},
                    "was_cancelled": False, "reviews": [{"accepted": True}],
                    "result": [{"id": "a", "type": "relation", "from_name": "errors", "value": {}}],
                }
            ]
        }
    ],
    "argilla": [
        {"responses": [{"user_id": "u", "values": {"corrected": {"value": "Better."}}, "status": "submitted"}]},
        {
            "question": "What flies?", "response": "It flies.", "source": {"passages": []}, "responses": ABSENT,
            "corrected.responses": ["Better."], "corrected.responses.users": ["u"],
            "corrected.responses.status": ["submitted"],
        },
        {
            "fields": {"response": "It flies.", "source": {"question": "What flies?", "response": "It flies."}},
            "responses": {"corrected": [{"value": "Better.", "user_id": "u", "status": "submitted"}]},
        },
        {
            "fields": {"response": "It flies.", "source": json.dumps({"question": "What flies?"})},
            "responses": [{"user_id": "u", "values": {"corrected": {"value": "Better."}}, "status": "submitted"}],
        },
    ],
    "doccano": [
        {"relations": [{"id": 1}], "cats": ["a"], "Comments": ["b"], "meta": {"gold": "They fly."}},
        {"label": ABSENT, "entities": [{"id": 7, "label": SPAN_LABELS[0], "start_offset": 5, "end_offset": 9}]},
    ],
    "prodigy": [{"relations": [{"head": 1}], "_annotator_id": "ada", "_view_id": "spans_manual", "meta": {"gold": ""}}],
}  # fmt: skip
"""What other versions and settings of a tool write, beside or in place of what is exported."""
ODD = (1, True, "x", [], {}, None)
PYTHON = re.compile(r"\w+(Error|Exception)\b|\b_\w|\(\) argument|object (is|has)|dictionary|tuple")
"""What a message has that was written for programmers."""


def valid_records(name: str, path: Path) -> list[dict[str, Any]]:
    """A record as it is exported, and with what the tool adds."""
    format_named(name).write([ITEM], path)
    text = path.read_text(encoding="utf-8")
    (record,) = json.loads(text if text.startswith("[") else f"[{text}]")
    added = [record | more for more in ADDED.get(name, ())]
    return [record, *({key: value for key, value in each.items() if value is not ABSENT} for each in added)]


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The keys that lead to each value within a value."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield (*place, key)
        yield from places(part, (*place, key))


def odd_records(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for *outer, key in places(record):
        for odd in (*ODD, ...):
            changed = holder = deepcopy(record)
            for step in outer:
                holder = holder[step]
            if odd is ...:
                del holder[key]
            else:
                holder[key] = odd
            yield changed


@pytest.mark.parametrize("empty_is_clean", [False, True])
@pytest.mark.parametrize("name", FORMATS)
def test_one_odd_value_never_ends_an_import(name: str, empty_is_clean: bool, tmp_path: Path) -> None:
    path = tmp_path / "records.json"
    odd = [changed for record in valid_records(name, path) for changed in odd_records(record)]
    path.write_text(json.dumps(odd), encoding="utf-8")
    parts = list(format_named(name).read(path, ReadOptions(empty_is_clean=empty_is_clean)))
    assert {part.where.partition(",")[0] for part in parts} == {f"record {n}" for n in range(1, len(odd) + 1)}
    for part in parts:
        assert isinstance(part, Item | Refusal | LeftOut)
        if isinstance(part, Refusal):
            assert part.reason.endswith("."), part
            assert not PYTHON.search(part.reason), part
            assert not part.reason.startswith("It is not what"), part
        elif isinstance(part, Item):
            feedback_of(part)


@pytest.mark.parametrize("name", FORMATS)
def test_the_records_that_are_made_odd_are_valid(name: str, tmp_path: Path) -> None:
    path = tmp_path / "records.json"
    records = valid_records(name, path)
    path.write_text(json.dumps(records), encoding="utf-8")
    parts = list(format_named(name).read(path))
    assert not [part for part in parts if isinstance(part, Refusal)]
    assert len([part for part in parts if isinstance(part, Item)]) == len(records)


@pytest.mark.parametrize("error", [KeyError("response"), TypeError("'int' object is not iterable"), RecursionError()])
def test_what_nobody_foresaw_is_refused_in_one_sentence(error: Exception) -> None:
    def fail(row: Any) -> Any:
        raise error

    (refusal,) = read_item("record 1", {}, fail, "doccano")
    assert refusal == Refusal("record 1", "It is not what doccano writes.")


def test_so_is_what_nobody_foresaw_in_a_record_with_the_answers_of_several_people(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(row: Any) -> Any:
        raise KeyError("response")

    path = tmp_path / "records.json"
    (record,) = valid_records("argilla", path)[:1]
    path.write_text(json.dumps([record]), encoding="utf-8")
    monkeypatch.setattr("service.feedback.exchange.argilla.responses.answers_of", fail)
    assert list(format_named("argilla").read(path)) == [Refusal("record 1", "It is not what Argilla writes.")]


def offsets(record: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    """The keys that lead to each offset of a span."""
    for *outer, key in places(record):
        if key in ("start", "end", "start_offset", "end_offset") or (key in (0, 1) and outer[:1] == ["label"]):
            yield (*outer, key)


@pytest.mark.parametrize("name", FORMATS)
def test_true_is_no_offset(name: str, tmp_path: Path) -> None:
    path = tmp_path / "records.json"
    odd = []
    for record in valid_records(name, path):
        for *outer, key in offsets(record):
            changed = holder = deepcopy(record)
            for step in outer:
                holder = holder[step]
            explains = isinstance(holder, dict) and isinstance(holder.get("text"), list)  # which is not a span
            if type(holder[key]) is int and not explains:
                holder[key] = True
                odd.append(changed)
    assert odd
    path.write_text(json.dumps(odd), encoding="utf-8")
    assert not [part for part in format_named(name).read(path) if isinstance(part, Item)]
