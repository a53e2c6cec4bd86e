"""The error rates of a store's answers by category, profile and version."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from rewards.categories import Category
from rewards.quality.estimates import NO_RATES, category_estimate, flagged_share
from rewards.statistics.agreement_with_people import rounded
from service.feedback.quality.from_store import TrafficAnswer


def error_rates(
    traffic: Sequence[TrafficAnswer],
    *,
    all_drawn: bool = False,
    rewards: str | None = None,
    at_home: Mapping[Category, float] = NO_RATES,
) -> dict[Category, dict[str, Any]]:
    """By category, the estimate over all answers, and under `profiles` those of each profile and its `versions`.

    An estimate is what rewards.quality.estimates.category_estimate gives, with `newest_label`, the time of the latest
    label in ISO format, and `correction`: the estimate less the share that reaches the threshold, 0 without an
    estimate. The share is that of the answers scored by one version of the reward models, if `rewards` names one,
    because other versions have other thresholds; if it has scored none yet, there is nothing to correct.
    `at_home` has the share of errors in the reward models' own feedback.
    """
    profiles: dict[str, dict[str, list[TrafficAnswer]]] = defaultdict(lambda: defaultdict(list))
    for answer in traffic:
        profiles[answer.profile][answer.policy].append(answer)
    estimate = partial(_estimate, all_drawn=all_drawn, rewards=rewards, at_home=at_home)
    return {
        category: estimate(traffic, category)
        | {"profiles": {name: _profile(profiles[name], category, estimate) for name in sorted(profiles)}}
        for category in dict.fromkeys(category for answer in traffic for category in answer.answer.scores)
    }


def _profile(
    versions: Mapping[str, Sequence[TrafficAnswer]],
    category: Category,
    estimate: Callable[[Sequence[TrafficAnswer], Category], dict[str, Any]],
) -> dict[str, Any]:
    every = [answer for answers in versions.values() for answer in answers]
    return estimate(every, category) | {
        "versions": {policy: estimate(versions[policy], category) for policy in sorted(versions)}
    }


def _estimate(
    traffic: Sequence[TrafficAnswer],
    category: Category,
    all_drawn: bool,
    rewards: str | None,
    at_home: Mapping[Category, float],
) -> dict[str, Any]:
    answers = [answer.answer for answer in traffic]
    estimate = category_estimate(answers, category, all_drawn=all_drawn, at_home=at_home.get(category))
    now = [answer.answer for answer in traffic if rewards in (None, answer.rewards)]
    corrected = estimate["estimate"] is not None and any(category in answer.scores for answer in now)
    estimate["correction"] = rounded(estimate["estimate"] - flagged_share(now, category)) if corrected else 0.0
    times: list[datetime] = [
        answer.labelled_at for answer in traffic if category in answer.answer.judged and answer.labelled_at is not None
    ]
    return estimate | {"newest_label": max(times).isoformat() if times else None}
