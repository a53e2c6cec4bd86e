"""The error rates of scored answers, by category, from the labels of some of them."""

from collections.abc import Sequence
from typing import Any

from rewards.categories import Category
from rewards.quality.answers import Answer, as_labelled, as_scored
from rewards.statistics.agreement_with_people import rounded
from rewards.statistics.prediction_powered import MIN_LABELS, Interval, error_rate, raw_rate


def estimates(answers: Sequence[Answer], *, all_drawn: bool = False) -> dict[Category, dict[str, Any]]:
    """For each category that the answers are scored by, the report of `category_estimate`."""
    categories = dict.fromkeys(category for answer in answers for category in answer.scores)
    return {category: category_estimate(answers, category, all_drawn=all_drawn) for category in categories}


def category_estimate(answers: Sequence[Answer], category: Category, *, all_drawn: bool = False) -> dict[str, Any]:
    """The error rate by one category, as JSON values.

    `estimate`, `low` and `high` are the share of segments that people would mark, with its 95 % interval, None where
    there are too few labels; `labels_only` is the same without the scores. `raw` is the mean error probability,
    `flagged` the share of segments that reach the threshold. `labels` counts the labelled answers, `drawn` those that
    were drawn at random, `scored` all of them, and `labels_missing` what is missing for an estimate. With `all_drawn`,
    every labelled answer counts as drawn.
    """
    answers = [answer for answer in answers if category in answer.scores]
    scored, labelled = as_scored(answers, category), as_labelled(answers, category, all_drawn=all_drawn)
    drawn = int((labelled.probability > 0).sum())
    flagged = sum(answer.scores[category].flagged for answer in answers) / max(scored.segments.sum(), 1)
    rate = error_rate(scored, labelled)
    return _interval(None if rate is None else rate.rate) | {
        "labels": len(labelled.judged),
        "drawn": drawn,
        "scored": len(answers),
        "raw": rounded(raw_rate(scored)),
        "flagged": rounded(flagged),
        "labels_only": _interval(None if rate is None else rate.labels_only),
        "power": None if rate is None else rounded(rate.power),
        "labels_saved": None if rate is None else rate.labels_saved,
        "labels_to_halve": None if rate is None else rate.labels_to_halve,
        "labels_missing": max(0, MIN_LABELS - drawn),
    }


def _interval(interval: Interval | None) -> dict[str, float | None]:
    if interval is None:
        return {"estimate": None, "low": None, "high": None}
    return {"estimate": rounded(interval.estimate), "low": rounded(interval.low), "high": rounded(interval.high)}
