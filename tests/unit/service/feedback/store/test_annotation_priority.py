"""Which response comes first."""

import pytest

from service.feedback.records import StoredPassage
from service.feedback.store.annotation_priority import derived_columns, disagreement, uncertainty


def segments(**probabilities):
    scores = {
        category: {
            "segments": [
                {"start": 10 * i, "end": 10 * i + 10, "error_probability": p, "error": p >= 0.5}
                for i, p in enumerate(given)
            ]
        }
        for category, given in probabilities.items()
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
        ([[error("Unverifiable", 0, 5)]], 2 / 4),  # of another category: one found, one overlooked
        ([[error("Irrelevant", 9, 11)]], 1 / 4),  # two segments touched
        ([[error("Irrelevant", 0, 10)], []], (0 + 1 / 4 + 1 / 4) / 3),
    ],
)
def test_disagreement(annotations, expected):
    scored = segments(relevance=[0.9, 0.1], factuality=[0.1, 0.2])
    assert disagreement(scored, annotations) == (None if expected is None else pytest.approx(expected))
    assert disagreement(None, annotations) is None


def test_what_is_derived():
    passages = (StoredPassage(title="T", text="x"),)
    one, other = derived_columns("r1", "q", passages, "text"), derived_columns("r2", "q", passages, "text!")
    assert one["annotatable"]
    assert one["prompt_key"] == other["prompt_key"] != derived_columns("r1", "q", (), "text")["prompt_key"]
    assert one["text_key"] != other["text_key"]
    assert one["lot"] != other["lot"] != other["overlap_lot"]
    assert not any(
        derived_columns("r", *given)["annotatable"]
        for given in (("", passages, "x"), ("q", (), "x"), ("q", passages, " "))
    )
