"""Agreement measures against figures computed by hand."""

from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from service.feedback.agreement.differing import verdict
from service.feedback.agreement.measures import (
    alpha,
    between_people,
    by_annotator,
    by_week,
    full_report,
    models_with_people,
    span_f1,
)
from service.feedback.agreement.ratings import Rating
from service.metrics.agreement import AgreementMetrics

# Four sentences of one sub-sentence each, so that both categories have the same four segments.
TEXT = "One two three four five. Six seven eight nine ten. Red green blue black white. Up down left right on."
STARTS = [0, 25, 51, 79]
NAN = float("nan")


def rating(annotator: str, *marked: int, label: str = "Irrelevant", **more: Any) -> Rating:
    """A rating that marks whole sentences."""
    ends = [24, 50, 78, len(TEXT)]
    spans = tuple((label, STARTS[i], ends[i]) for i in marked)
    defaults: dict[str, Any] = {"missing": False, "created": datetime(2026, 11, 2, tzinfo=UTC), "response_id": "r"}
    return Rating(text=TEXT, annotator=annotator, spans=spans, **(defaults | more))


def test_alpha_of_two_by_hand() -> None:
    """Of 8 values 3 are errors: expected disagreement 2*3*5/(8*7), observed 2/8."""
    assert alpha([[1, 1, 0, 0], [1, 0, 0, 0]]) == pytest.approx(1 - (2 / 8) / (30 / 56), abs=1e-4)
    assert alpha([[1, 0], [1, 0]]) == 1
    assert alpha([[0, 0], [0, 0]]) is None
    assert alpha([[1, NAN], [NAN, 0]]) is None
    assert alpha([]) is None


def test_alpha_of_three_with_gaps_by_hand() -> None:
    """Units {1,1,0}, {0,0}, and a unit rated once, which is left out.

    Coincidences: the first unit has 3 values, each pair weighing 1/2: o11 = 1, o01 + o10 = 2; the second o00 = 2.
    n = 5, errors 2: observed 2/5, expected 2*2*3/(5*4).
    """
    ratings = [[1, 0, NAN], [1, 0, NAN], [0, NAN, 1]]
    assert alpha(ratings) == pytest.approx(1 - (2 / 5) / (12 / 20), abs=1e-4)


def test_segments_are_the_units() -> None:
    figures = between_people([rating("ann", 0, 1), rating("bo", 0), rating("cy", 3, response_id="alone")])
    expected = pytest.approx(1 - (2 / 8) / (30 / 56), abs=1e-4)
    assert figures["relevance"] == {
        "alpha": expected,
        "verdict": verdict(expected.expected, 1),
        "units": 4,
        "responses": 1,
    }
    assert figures["factuality"] == {"alpha": None, "verdict": verdict(None, 1), "units": 4, "responses": 1}


def test_completeness_is_rated_for_the_whole_response() -> None:
    ratings = [rating(name, missing=lacks, response_id=r) for r, lacks in (("a", True), ("b", False)) for name in "xy"]
    assert between_people(ratings)["completeness"] == {
        "alpha": 1, "verdict": verdict(1, 2), "units": 2, "responses": 2,
    }  # fmt: skip


def test_span_f1_counts_words() -> None:
    """Ann marks ten words, Bo five of them: 2*5 / (10+5)."""
    figures = span_f1([rating("ann", 0, 1), rating("bo", 0)])
    assert figures["Irrelevant"] == {"f1": pytest.approx(2 / 3, abs=1e-4), "words": 15}
    assert figures["Unverifiable"] == {"f1": None, "words": 0}
    other = span_f1([rating("ann", 0), rating("bo", 0, label="Redundant")])
    assert (other["Irrelevant"]["f1"], other["Redundant"]["f1"]) == (0, 0)


def test_every_chinese_character_counts_as_a_word() -> None:
    """Ann marks four characters, Bo two of them and the full stop: 2*2 / (4+3)."""
    text = "灯塔高三十一米。"
    people = [
        Rating("r", text, name, (("Irrelevant", start, end),), False, datetime(2026, 11, 2, tzinfo=UTC))
        for name, start, end in (("ann", 3, 7), ("bo", 5, 8))
    ]
    assert span_f1(people)["Irrelevant"] == {"f1": pytest.approx(4 / 7, abs=1e-4), "words": 7}


def test_each_annotator_is_compared_with_the_others_only() -> None:
    figures = by_annotator([rating("ann", 0), rating("bo", 0), rating("cy", 1, 2)])
    assert figures["ann"]["annotations"] == 1
    assert figures["cy"]["spans"]["Irrelevant"]["f1"] == 0
    # Ann with Bo: 5 of 5 words; with Cy: none of 5 + 10.
    assert figures["ann"]["spans"]["Irrelevant"]["f1"] == pytest.approx(10 / 25)
    assert figures["cy"]["categories"]["relevance"]["alpha"] < figures["ann"]["categories"]["relevance"]["alpha"]


def test_a_response_counts_in_the_week_of_its_second_judgement() -> None:
    late = datetime(2026, 11, 9, tzinfo=UTC)
    weeks = by_week([rating("ann", 0), rating("bo", 0, created=late), rating("cy", 0, response_id="alone")])
    assert [week["week"] for week in weeks] == ["2026-W46"]
    assert weeks[0]["categories"]["relevance"]["alpha"] == 1


def test_reward_models_are_compared_with_every_person() -> None:
    errors = [True, False, False, False]
    bounds = zip(STARTS, [24, 50, 78, len(TEXT)], errors, strict=True)
    scores = {"relevance": {"segments": [{"start": a, "end": b, "error": e} for a, b, e in bounds]}}
    figures = models_with_people(
        [rating("ann", 0, 1), rating("bo", 0), rating("cy", 1, response_id="?")], {"r": scores}
    )
    assert figures["relevance"]["units"] == 8
    assert figures["relevance"]["accuracy"] == pytest.approx(7 / 8)
    # F1 of "error": 2*2/(2*2+1); of "no error": 2*5/(2*5+1)
    assert figures["relevance"]["macro_f1"] == pytest.approx((4 / 5 + 10 / 11) / 2, abs=1e-4)
    assert figures["completeness"] == {"alpha": None, "accuracy": None, "macro_f1": None, "units": 0}


def test_metrics_show_the_figures_that_are_defined() -> None:
    registry = CollectorRegistry()
    metrics = AgreementMetrics(registry)
    metrics.announce(full_report([rating("ann", 0, 1), rating("bo", 0)], {}))
    lines = generate_latest(registry).decode().splitlines()
    assert 'fg_annotation_agreement_ratio{category="relevance"} 0.5333' in lines
    assert 'fg_annotation_span_f1_ratio{label="Irrelevant"} 0.6667' in lines
    assert not [line for line in lines if line.startswith("fg_annotation_model_agreement_ratio{")]
    metrics.announce(full_report([], {}))
    assert "fg_annotation_agreement_ratio{" not in generate_latest(registry).decode()
