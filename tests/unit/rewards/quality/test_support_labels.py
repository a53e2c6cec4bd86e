import json
import math

import pytest

from rewards.errors import FgctlError
from rewards.quality.support_labels import LabelledResponse, are_support_labels, load_support_labels

TEXT = "It is red. It is tall, they say. It is new."


def labelled(*spans, text=TEXT):
    return LabelledResponse(response=text, spans=[{"start": a, "end": b, "error": e} for a, b, e in spans])


def test_segments_get_the_label_of_the_spans_over_them():
    row = labelled((0, 10, False), (11, 32, True))
    marks = row.marks("factuality", [(0, 10), (11, 22), (23, 32), (33, 43)])
    assert list(marks[:3]) == [0, 1, 1]
    assert math.isnan(marks[3])
    assert math.isnan(row.marks("relevance", [(0, 10)])[0])


def test_a_segment_is_an_error_if_any_part_of_it_is():
    assert list(labelled((0, 5, False), (6, 10, True)).marks("factuality", [(0, 10)])) == [1]


def test_spans_that_touch_only_the_end_of_a_neighbour_do_not_label_it():
    """The label's sentence begins with the space and full stop that belong to the sentence before."""
    marks = labelled((9, 32, True)).marks("factuality", [(0, 10), (11, 32)])
    assert math.isnan(marks[0])
    assert marks[1] == 1


def test_files_are_read_with_any_form_of_passages(tmp_path):
    rows = [
        {"question": "q", "passages": [{"title": "t", "text": "x"}], "response": TEXT, "spans": []},
        {"question": "q", "passages": [["t", "x"]], "response": TEXT,
         "spans": [{"start": 0, "end": 10, "error": True, "category": "relevance"}]},
    ]  # fmt: skip
    file = tmp_path / "labels.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    first, second = load_support_labels(file)
    assert first.request == second.request
    assert (first.categories, second.categories) == ((), ("relevance",))
    assert are_support_labels(file)


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ('{"response": "a"}', "spans"),
        ('{"response": "abc", "spans": [{"start": 0, "end": 4, "error": true}]}', "3 characters"),
        ('{"response": "abc", "spans": [{"start": 2, "end": 2, "error": true}]}', "from 2 to 2"),
        ('{"response": "abc", "spans": [{"start": 0, "end": 2}]}', "spans.0.error"),
        ('{"passages": [["t", "\\ud83d"]], "response": "abc", "spans": []}', "passages.0.1: half of a surrogate pair"),
    ],
    ids=["no-json", "list", "no-spans", "too-long", "empty", "no-error", "half-a-character"],
)
def test_a_wrong_line_is_named(tmp_path, line, part):
    file = tmp_path / "labels.jsonl"
    file.write_text('{"response": "a", "spans": []}\n' + line + "\n")
    with pytest.raises(FgctlError, match="line 2") as error:
        load_support_labels(file)
    assert part in str(error.value)


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path):
    file = tmp_path / "labels.jsonl"
    file.write_text('{"response": "a", "spans": []}\n', encoding="utf-8-sig")
    assert are_support_labels(file)
    assert [row.response for row in load_support_labels(file)] == ["a"]


def test_feedback_files_are_no_support_labels(tmp_path):
    file = tmp_path / "feedback.json"
    file.write_text("[\n{}\n]")
    assert not are_support_labels(file)
    assert not are_support_labels(tmp_path / "missing")
