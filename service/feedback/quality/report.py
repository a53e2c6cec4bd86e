"""The error rates of a store's answers by category, profile and version."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rewards.categories import Category
from rewards.quality.estimates import category_estimate
from service.feedback.quality.from_store import TrafficAnswer


def error_rates(traffic: Sequence[TrafficAnswer], *, all_drawn: bool = False) -> dict[Category, dict[str, Any]]:
    """By category, the estimate over all answers, and under `profiles` those of each profile and its `versions`.

    An estimate is what rewards.quality.estimates.category_estimate gives, with `newest_label`, the time of the latest
    label in ISO format.
    """
    profiles: dict[str, dict[str, list[TrafficAnswer]]] = defaultdict(lambda: defaultdict(list))
    for answer in traffic:
        profiles[answer.profile][answer.policy].append(answer)
    return {
        category: _estimate(traffic, category, all_drawn)
        | {"profiles": {name: _profile(profiles[name], category, all_drawn) for name in sorted(profiles)}}
        for category in dict.fromkeys(category for answer in traffic for category in answer.answer.scores)
    }


def _profile(versions: Mapping[str, Sequence[TrafficAnswer]], category: Category, all_drawn: bool) -> dict[str, Any]:
    every = [answer for answers in versions.values() for answer in answers]
    return _estimate(every, category, all_drawn) | {
        "versions": {policy: _estimate(versions[policy], category, all_drawn) for policy in sorted(versions)}
    }


def _estimate(traffic: Sequence[TrafficAnswer], category: Category, all_drawn: bool) -> dict[str, Any]:
    estimate = category_estimate([answer.answer for answer in traffic], category, all_drawn=all_drawn)
    times: list[datetime] = [
        answer.labelled_at for answer in traffic if category in answer.answer.judged and answer.labelled_at is not None
    ]
    return estimate | {"newest_label": max(times).isoformat() if times else None}
