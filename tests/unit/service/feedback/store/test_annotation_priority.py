"""The columns that order the annotation queue."""

import pytest

from service.feedback.records import StoredPassage
from service.feedback.store.annotation_priority import derived_columns, disagreement, uncertainty


def segments(**probabilities):
    scores = {
        category: {
            "segments": [
                {"start": 10 * i, "end": 10 * i + 10, "error_probability": p, "error": p >= 0.5}
                for i, p in enumerate(values)
            ]
        }
        for category, values in probabilities.items()
    }
    return {"scores": scores}


@pytest.mark.parametrize(
    ("scored", "expected"),
    [
        (segments(relevance=[0.5], factuality=[0.5, 0.5]), 1),
        (segments(relevance=[0, 1]), 0),
        (segments(relevance=[0.25, 0.5]), (0.75 + 1) / 2),
        (segments(completeness=[0.5]), 0),
        ({"scores": None}, 0),
    ],
)
def test_uncertainty(scored, expected):
    assert uncertainty(scored) == pytest.approx(expected)


def error(label, start, end):
    return {"label": label, "start": start, "end": end, "explanation": ""}


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        ([], None),
        ([[]], 1 / 4),  # the models see one error in four segments
        ([[error("Irrelevant", 0, 5)]], 0),
        ([[error("Unverifiable", 0, 5)]], 2 / 4),  # of another category: an error more and an error less
        ([[error("Irrelevant", 9, 11)]], 1 / 4),  # two segments touched
        ([[error("Irrelevant", 0, 10)], []], (0 + 1 / 4 + 1 / 4) / 3),
    ],
)
def test_disagreement(annotations, expected):
    scored = segments(relevance=[0.9, 0.1], factuality=[0.1, 0.2])
    assert disagreement(scored, annotations) == (None if expected is None else pytest.approx(expected))
    assert disagreement(None, annotations) is None


def test_derived_columns():
    passages = (StoredPassage(title="T", text="x"),)
    first, second = derived_columns("r1", "q", passages, "text"), derived_columns("r2", "q", passages, "text!")
    assert first["annotatable"]
    assert first["prompt_key"] == second["prompt_key"] != derived_columns("r1", "q", (), "text")["prompt_key"]
    assert first["text_key"] != second["text_key"]
    assert first["lot"] != second["lot"] != second["overlap_lot"]
    for content in (("", passages, "x"), ("q", (), "x"), ("q", passages, " ")):
        assert not derived_columns("r", *content)["annotatable"]
