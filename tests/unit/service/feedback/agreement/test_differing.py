"""The answers that people differ on, and alpha in words."""

from datetime import UTC, datetime

import pytest

from service.feedback.agreement.differing import differing, verdict
from service.feedback.agreement.ratings import Rating

TEXT = "One two three four five. Six seven eight nine ten."
FIRST, SECOND = ("Irrelevant", 0, 24), ("Irrelevant", 25, 50)


def rating(response, annotator, *spans, missing=False):
    return Rating(response, TEXT, annotator, spans, missing, datetime(2026, 11, 2, tzinfo=UTC), f"What of {response}?")


def test_answers_come_in_the_order_of_how_much_people_differ():
    ratings = [
        rating("same", "ann", FIRST), rating("same", "bo", FIRST),
        rating("half", "ann", FIRST), rating("half", "bo"),
        rating("both", "ann", FIRST), rating("both", "bo", SECOND, missing=True),
        rating("alone", "ann", FIRST),
    ]  # fmt: skip
    # Two sub-sentences, two sentences and the whole are five units.
    assert differing(ratings) == [
        {
            "response_id": "both",
            "question": "What of both?",
            "share": 0.6,
            "categories": ["relevance", "completeness"],
            "people": {
                "ann": ["Irrelevant: “One two three four five.”"],
                "bo": ["Irrelevant: “Six seven eight nine ten.”", "information is missing"],
            },
        },
        {
            "response_id": "half",
            "question": "What of half?",
            "share": 0.2,
            "categories": ["relevance"],
            "people": {"ann": ["Irrelevant: “One two three four five.”"], "bo": []},
        },
    ]


@pytest.mark.parametrize(
    ("alpha", "begins"),
    [
        (0.8, "Enough:"), (0.799, "Nearly enough:"), (0.667, "Nearly enough:"), (0.5, "Not enough:"),
        (0.0, "Not enough, and no better than chance:"), (-0.4, "Not enough, and no better than chance:"),
        (None, "Too little to say:"),
    ],
)  # fmt: skip
def test_alpha_is_put_into_words(alpha, begins):
    assert verdict(alpha, 20).startswith(begins)
    assert "shared" not in verdict(alpha, 20)


def test_a_verdict_on_few_answers_says_so():
    assert verdict(1.0, 3).endswith("(Only 3 shared: let two people annotate more.)")
