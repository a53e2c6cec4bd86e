"""Answers and scores on their way to the feedback store, and what people say in it."""

from deploy.monitoring.scenarios.healthy_service import INSTANCE, good_day
from deploy.monitoring.scenarios.scenario import (
    PRODUCTION,
    RESTART,
    STAGING,
    Labels,
    Notification,
    Scenario,
    counter,
    firing,
    gauge,
    series,
    shown,
)

_HERE = dict(INSTANCE)
_REPLICA = {**PRODUCTION, "instance": "b:8000"}
_STAGING = {**STAGING, "instance": "a:8000"}
_GOOD_DAY = good_day(120, ("short", "v1"))
_KINDS, _REASONS = ("response", "scores"), ("queue_full", "failed", "stopped")


def _lost(kind: str, reason: str) -> str:
    return series("fg_feedback_lost_total", **INSTANCE, kind=kind, reason=reason)


def _fires(reason: str) -> dict[str, str]:
    return dict(firing("FgctlFeedbackLost", "ticket", "feedback", **_HERE, reason=reason))


_NOTHING_LOST = {_lost(kind, reason): counter((120, 0)) for kind in _KINDS for reason in _REASONS}

_ALL_STORED = Scenario(
    "the store takes everything, also across a restart", _GOOD_DAY | _NOTHING_LOST, firing={60: [], 120: []}
)

_FULL = Scenario(
    "the store fails for ten minutes, and the queue before it overflows",
    _GOOD_DAY | _NOTHING_LOST | {_lost(kind, "queue_full"): counter((30, 0), (10, 6), (80, 0)) for kind in _KINDS},
    firing={30: [], 32: [_fires("queue_full")], 60: [_fires("queue_full")], 99: [_fires("queue_full")], 102: []},
    notifications=[
        Notification(
            "FgctlFeedbackLost",
            {**PRODUCTION, "severity": "ticket", "component": "feedback", **_HERE, "reason": "queue_full"},
            at=60,
            summary="a:8000 loses answers before they reach the feedback store (queue_full)",
            description=(
                "In the last hour 120 answers or scores of a:8000 did not reach the feedback store (reason: "
                "queue_full). They cannot be annotated; replies are not affected. The log says why."
            ),
            dashboard="/d/fgctl-scoring?var-namespace=production&var-job=fgctl",
        )
    ],
)

_ONE_LOST = Scenario(
    "a single answer cannot be stored, after a restart that lost nothing",
    _GOOD_DAY | _NOTHING_LOST | {_lost("response", "failed"): counter((30, 0), RESTART, (30, 0), (1, 1), (58, 0))},
    firing={59: [], 63: [_fires("failed")], 119: [_fires("failed")]},
)

_NO_STORE = Scenario("there is no store", _GOOD_DAY, firing={60: [], 120: []})


def _said(
    instance: Labels, left: int, skips: int, thumbs: tuple[int, int], compared: tuple[int, int, int], submitted: int
) -> dict[str, str]:
    """What an instance exports of people's feedback on one version.

    `thumbs` are those up and down, `compared` the comparisons won, lost and tied, `submitted` the annotations a minute.
    """
    version = dict(instance) | {"profile": "short", "policy": "v1"}
    skipped = dict(instance) | {"kind": "annotation", "reason": "bad_question"}
    values = {
        series("fg_feedback_left", **instance): left,
        series("fg_feedback_skips", **skipped): skips,
        **{
            series("fg_feedback_thumbs", **version, thumb=thumb): number
            for thumb, number in zip(("up", "down"), thumbs, strict=True)
        },
        **{
            series("fg_feedback_comparisons", **version, result=result): number
            for result, number in zip(("win", "loss", "tie"), compared, strict=True)
        },
    }
    submissions = series("fg_feedback_submissions_total", **instance, kind="annotation")
    return {name: gauge((120, value)) for name, value in values.items()} | {submissions: counter((120, submitted))}


def _row(
    service: Labels, left: int, skips: int, thumbs: tuple[int, int], compared: tuple[int, float], submitted: int
) -> list[tuple[int, str, dict[str, float]]]:
    """What the row on feedback shows of that after two hours; `compared` are the comparisons and the win rate."""
    version = '{policy="v1", profile="short"}'
    by_version = [(column, {version: value}) for column, value in enumerate((*thumbs, *compared))]
    return [
        (120, shown("fgctl-scoring", "Left to annotate", service), {"{}": left}),
        (
            120,
            shown("fgctl-scoring", "Skips by reason", service),
            {'{kind="annotation", reason="bad_question"}': skips},
        ),
        (120, shown("fgctl-scoring", "Submissions a day", service), {'{kind="annotation"}': submitted}),
        *(
            (120, shown("fgctl-scoring", "Thumbs and comparisons by version", service, column), samples)
            for column, samples in by_version
        ),
    ]


_SAID = Scenario(
    "people say other things of production, which has two replicas, than of staging",
    _GOOD_DAY
    | good_day(120, ("short", "v1"), instance=_STAGING)
    | _said(INSTANCE, 12, 3, (9, 2), (2, 1, 1), 2)
    | _said(_REPLICA, 12, 3, (9, 2), (2, 1, 1), 1)
    | _said(_STAGING, 500, 40, (1, 30), (0, 4, 0), 10),
    firing={60: [], 120: []},
    panels=[
        *_row(PRODUCTION, 12, 3, (9, 2), (4, 0.625), 360),
        *_row(STAGING, 500, 40, (1, 30), (4, 0), 1200),
    ],
)

SCENARIOS = [_ALL_STORED, _FULL, _ONE_LOST, _NO_STORE, _SAID]
