"""The error rates of scored answers, by category, from the labels of some of them."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from rewards.categories import Category
from rewards.quality.answers import Answer, as_labelled, as_scored
from rewards.statistics.agreement_with_people import rounded
from rewards.statistics.label_shift import shifted_rate
from rewards.statistics.prediction_powered import MIN_LABELS, Interval, error_rate, raw_rate

NO_RATES: Mapping[Category, float] = MappingProxyType({})


def estimates(
    answers: Sequence[Answer], *, all_drawn: bool = False, at_home: Mapping[Category, float] = NO_RATES
) -> dict[Category, dict[str, Any]]:
    """For each category that the answers are scored by, the report of `category_estimate`."""
    categories = dict.fromkeys(category for answer in answers for category in answer.scores)
    return {
        category: category_estimate(answers, category, all_drawn=all_drawn, at_home=at_home.get(category))
        for category in categories
    }


def category_estimate(
    answers: Sequence[Answer], category: Category, *, all_drawn: bool = False, at_home: float | None = None
) -> dict[str, Any]:
    """The error rate by one category, as JSON values.

    `estimate`, `low` and `high` are the share of segments that people would mark, with its 95 % interval, None where
    there are too few labels; `labels_only` is the same without the scores. `raw` is the mean error probability,
    `flagged` the share of segments that reach the threshold. `label_shift` is the rate by the
    scores alone if errors look as they do in the reward models' own feedback, of which the share `at_home` is errors;
    None where that is unknown. `labels` counts the labelled answers, `drawn` those that
    were drawn at random, `scored` all of them, and `labels_missing` what is missing for an estimate. With `all_drawn`,
    every labelled answer counts as drawn.
    """
    answers = [answer for answer in answers if category in answer.scores]
    scored, labelled = as_scored(answers, category), as_labelled(answers, category, all_drawn=all_drawn)
    drawn = int((labelled.probability > 0).sum())
    rate = error_rate(scored, labelled)
    return _interval(None if rate is None else rate.rate) | {
        "labels": len(labelled.judged),
        "drawn": drawn,
        "scored": len(answers),
        "raw": rounded(raw_rate(scored)),
        "flagged": flagged_share(answers, category),
        "label_shift": None if at_home is None else rounded(_shifted(answers, category, at_home)),
        "labels_only": _interval(None if rate is None else rate.labels_only),
        "power": None if rate is None else rounded(rate.power),
        "labels_saved": None if rate is None else rate.labels_saved,
        "labels_to_halve": None if rate is None else rate.labels_to_halve,
        "labels_missing": max(0, MIN_LABELS - drawn),
    }


def _shifted(answers: Sequence[Answer], category: Category, at_home: float) -> float:
    every = [probability for answer in answers for probability in answer.scores[category].probabilities]
    return shifted_rate(np.array(every, dtype=np.float64), at_home)


def flagged_share(answers: Sequence[Answer], category: Category) -> float:
    """The share of segments that reach the category's threshold; 0 without segments."""
    totals = [answer.scores[category] for answer in answers if category in answer.scores]
    return rounded(sum(total.flagged for total in totals) / max(sum(total.segments for total in totals), 1))


def _interval(interval: Interval | None) -> dict[str, float | None]:
    if interval is None:
        return {"estimate": None, "low": None, "high": None}
    return {"estimate": rounded(interval.estimate), "low": rounded(interval.low), "high": rounded(interval.high)}
