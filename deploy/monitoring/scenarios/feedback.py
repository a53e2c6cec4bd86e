"""Answers and scores on their way to the feedback store."""

from deploy.monitoring.scenarios.healthy_service import INSTANCE, good_day
from deploy.monitoring.scenarios.scenario import PRODUCTION, RESTART, Notification, Scenario, counter, firing, series

_HERE = dict(INSTANCE)
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

SCENARIOS = [_ALL_STORED, _FULL, _ONE_LOST, _NO_STORE]
