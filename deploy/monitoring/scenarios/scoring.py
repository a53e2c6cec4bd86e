"""Scoring that stops, falls behind or loses answers."""

from deploy.monitoring.scenarios.healthy_service import INSTANCE, Answers, answers, health, histogram
from deploy.monitoring.scenarios.scenario import (
    PRODUCTION,
    RESTART,
    Notification,
    Scenario,
    counter,
    firing,
    gauge,
    series,
)

_HERE = dict(INSTANCE)
_SILENT = firing("FgctlScoringSilent", "page", "scoring", **_HERE)
_LAST_SCORE = series("fg_last_score_timestamp_seconds", **INSTANCE)
_OFFERED = series("fg_scoring_offered_total", **INSTANCE, profile="short")
_SCORED = series("fg_responses_scored_total", **INSTANCE, profile="short", policy="v1")


def _dropped(reason: str) -> str:
    return series("fg_scoring_dropped_total", **INSTANCE, profile="short", reason=reason)


_FALLS_SILENT = Scenario(
    "answers are given and are no longer scored",
    health(120)
    | answers("short", "v1", [Answers(60), Answers(60, per_minute=0)])
    | {_OFFERED: counter((120, 10)), _LAST_SCORE: counter((60, 60), (60, 0))},
    firing={60: [], 70: [], 74: [], 77: [_SILENT], 120: [_SILENT]},
    notifications=[
        Notification(
            "FgctlScoringSilent",
            {**PRODUCTION, "severity": "page", "component": "scoring", **_HERE},
            at=77,
            summary="a:8000 scores no answers",
            description=(
                "In the last ten minutes a:8000 gave 100 answers that should be scored, and scored none. Its "
                "error ratios are out of date, and quality alerts cannot fire. See why answers are dropped on the "
                "dashboard, then read the log."
            ),
            dashboard="/d/fgctl-scoring?var-namespace=production&var-job=fgctl",
        )
    ],
)

_SILENT_FROM_THE_START = Scenario(
    "after a restart nothing is ever scored: the time of the last score is 0",
    health(120)
    | answers("short", "v1", [Answers(60), RESTART, Answers(60, per_minute=0)])
    | {_OFFERED: counter((60, 10), RESTART, (60, 10)), _LAST_SCORE: counter((60, 60), RESTART, (60, 0))},
    firing={60: [], 64: [], 68: [_SILENT], 120: [_SILENT]},
)

_SLOW_START = Scenario(
    "after a restart the first scores take three minutes",
    health(120)
    | answers("short", "v1", [Answers(60), RESTART, Answers(60)])
    | {_LAST_SCORE: f"{counter((60, 60))} 0+0x2 3780+60x56"},
    firing={60: [], 62: [], 64: [], 70: [], 120: []},
)

_NO_TRAFFIC = Scenario(
    "four hours without a question, then questions again",
    health(400)
    | answers("short", "v1", [Answers(60), Answers(240, per_minute=0), Answers(100)])
    | {_LAST_SCORE: f"{counter((60, 60), (241, 0))} 18120+60x98"},
    firing={60: [], 90: [], 300: [], 301: [], 303: [], 310: [], 400: []},
)

_OTHER_INSTANCE = Scenario(
    "one of two instances is silent",
    health(120)
    | answers("short", "v1", [Answers(60), Answers(60, per_minute=0)])
    | {_OFFERED: counter((120, 10)), _LAST_SCORE: counter((60, 60), (60, 0))}
    | health(120, {**PRODUCTION, "instance": "b:8000"})
    | answers("short", "v1", [Answers(120)], {**PRODUCTION, "instance": "b:8000"}),
    firing={60: [], 120: [_SILENT]},
)

_NONE_FEW_SAMPLEDD = Scenario(
    "no answer is sampled for scoring",
    health(120)
    | answers("short", "v1", [Answers(120, per_minute=0)])
    | {_OFFERED: counter((120, 10)), _dropped("sampled_out"): counter((120, 10)), _LAST_SCORE: gauge((120, 0))},
    firing={20: [], 60: [], 120: []},
)

_NO_PASSAGES = Scenario(
    "no question has passages, so nothing can be scored",
    health(120)
    | answers("short", "v1", [Answers(120, per_minute=0)])
    | {_OFFERED: counter((120, 10)), _dropped("no_passages"): counter((120, 10)), _LAST_SCORE: gauge((120, 0))},
    firing={20: [], 60: [], 120: []},
)

_FEW_SAMPLED = Scenario(
    "nine in ten answers are not sampled, and all others are scored",
    health(90)
    | answers("short", "v1", [Answers(90, per_minute=1)])
    | {_OFFERED: counter((90, 10)), _dropped("sampled_out"): counter((90, 9))},
    firing={20: [], 60: [], 90: []},
    samples=[(90, "round(fg:scoring_coverage:1h, 0.000001)", {'{profile="short"}': 0.1})],
)

_LOSES = Scenario(
    "one in ten answers does not fit into the queue",
    health(60)
    | answers("short", "v1", [Answers(60, per_minute=9)])
    | answers("long", "v2", [Answers(60)])
    | {_OFFERED: counter((60, 10)), _dropped("queue_full"): counter((60, 1))},
    firing={10: [], 60: [firing("FgctlScoringLosesAnswers", "ticket", "scoring", profile="short")]},
    notifications=[
        Notification(
            "FgctlScoringLosesAnswers",
            {**PRODUCTION, "severity": "ticket", "component": "scoring", "profile": "short"},
            at=60,
            summary="Scoring loses 10% of the answers of short",
            description=(
                "In the last half hour scoring lost 10% of the answers of short that should be scored. Their "
                "errors are missing from the error ratios. See the reasons on the dashboard."
            ),
            dashboard="/d/fgctl-scoring?var-namespace=production&var-job=fgctl&var-profile=short",
        )
    ],
)

_LOSES_FEW = Scenario(
    "one answer is lost, of very few",
    health(60)
    | answers("short", "v1", [Answers(60, per_minute=0.5)])
    | {_OFFERED: counter((60, 0.6)), _dropped("failed"): counter((60, 0.1))},
    firing={30: [], 60: []},
)

_FULL = Scenario(
    "the queue fills up",
    health(60)
    | answers("short", "v1", [Answers(60)])
    | {series("fg_scoring_queue_depth", **INSTANCE): gauge((30, 3), (30, 250))},
    firing={34: [], 60: [firing("FgctlScoringQueueSaturated", "ticket", "scoring", **_HERE)]},
    notifications=[
        Notification(
            "FgctlScoringQueueSaturated",
            {**PRODUCTION, "severity": "ticket", "component": "scoring", **_HERE},
            at=60,
            summary="The scoring queue of a:8000 is 97.66% full",
            description=(
                "For ten minutes the scoring queue of a:8000 has been 97.66% full. Answers that do not fit are "
                "not scored; replies are not delayed. Lower FGCTL_SCORING_SHARE, or add scoring processes or "
                "instances."
            ),
            dashboard="/d/fgctl-scoring?var-namespace=production&var-job=fgctl",
        )
    ],
)

_LATE = Scenario(
    "scores arrive one to two minutes after their answers",
    health(60)
    | answers("short", "v1", [Answers(60)])
    | histogram("fg_scoring_lag_seconds", (1, 60, 120), [(60, 20)], 2, **INSTANCE),
    firing={8: [], 30: [firing("FgctlScoringLag", "ticket", "scoring")]},
    notifications=[
        Notification(
            "FgctlScoringLag",
            {**PRODUCTION, "severity": "ticket", "component": "scoring"},
            at=30,
            summary="Scores arrive 1m 57s after their answers",
            description=(
                "One answer in twenty waits 1m 57s or longer for its scores. Error ratios and canary verdicts are "
                "late by as much. Lower FGCTL_SCORING_SHARE, or add scoring processes or instances."
            ),
            dashboard="/d/fgctl-scoring?var-namespace=production&var-job=fgctl",
        )
    ],
)

_BUSY = Scenario(
    "two processes that work three seconds in four",
    health(60)
    | answers("short", "v1", [Answers(60)])
    | {
        series("fg_scoring_busy_seconds_total", **INSTANCE): counter((60, 90)),
        series("fg_scoring_workers", **INSTANCE): gauge((60, 2)),
    },
    firing={60: []},
    samples=[(60, "round(fg:scoring_busy_ratio:5m, 0.000001)", {'{namespace="production", job="fgctl"}': 0.75})],
)

_SINK_LOST = firing("FgctlSinkLost", "ticket", "scoring", **_HERE, sink="webhook", reason="refused")
_SINK_LOSES = Scenario(
    "a sink refuses a score, and takes the rest",
    health(120)
    | answers("short", "v1", [Answers(120)])
    | {
        series("fg_sink_lost_total", **INSTANCE, sink="webhook", reason="refused"): counter((30, 0), (1, 1), (89, 0)),
        series("fg_sink_lost_total", **INSTANCE, sink="langfuse", reason="queue_full"): counter((120, 0)),
    },
    firing={
        29: [],
        33: [_SINK_LOST],
        85: [_SINK_LOST],
        100: [],
    },
    notifications=[
        Notification(
            "FgctlSinkLost",
            {
                **PRODUCTION,
                "severity": "ticket",
                "component": "scoring",
                **_HERE,
                "sink": "webhook",
                "reason": "refused",
            },
            at=40,
            summary="Scores of a:8000 do not reach webhook (refused)",
            description=(
                "In the last hour the scores of 1 answers of a:8000 did not reach webhook (reason: refused). Replies "
                "and metrics are not affected. The log says why."
            ),
            dashboard="/d/fgctl-scoring?var-namespace=production&var-job=fgctl",
        )
    ],
)

SCENARIOS = [
    _SINK_LOSES,
    _FALLS_SILENT,
    _SILENT_FROM_THE_START,
    _SLOW_START,
    _NO_TRAFFIC,
    _OTHER_INSTANCE,
    _NONE_FEW_SAMPLEDD,
    _NO_PASSAGES,
    _FEW_SAMPLED,
    _LOSES,
    _LOSES_FEW,
    _FULL,
    _LATE,
    _BUSY,
]
