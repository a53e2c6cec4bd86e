"""Whether scoring works, keeps up and loses nothing."""

from deploy.monitoring.scenarios.healthy_service import INSTANCE, Answers, answers, health, histogram
from deploy.monitoring.scenarios.scenario import RESTART, Expected, Scenario, counter, firing, gauge, series

_HERE = {"job": "fgctl", "instance": "a:8000"}
_SILENT = firing("FgctlScoringSilent", "page", "scoring", **_HERE)
_LAST_SCORE = series("fg_last_score_timestamp_seconds", **INSTANCE)
_OFFERED = series("fg_scoring_offered_total", **INSTANCE, profile="short")
_SCORED = series("fg_responses_scored_total", **INSTANCE, profile="short", policy="v1")


def _dropped(reason: str) -> str:
    return series("fg_scoring_dropped_total", **INSTANCE, profile="short", reason=reason)


_FALLS_SILENT = Scenario(
    "answers are given and nothing is scored any more",
    health(120)
    | answers("short", "v1", [Answers(60), Answers(60, a_minute=0)])
    | {_OFFERED: counter((120, 10)), _LAST_SCORE: counter((60, 60), (60, 0))},
    firing={60: [], 70: [], 74: [], 77: [_SILENT], 120: [_SILENT]},
    told=[
        Expected(
            "FgctlScoringSilent",
            {"severity": "page", "component": "scoring", **_HERE},
            at=77,
            summary="a:8000 scores nothing",
            description=(
                "a:8000 gave 100 answers that were to be scored in the last ten minutes, and has scored none. Error "
                "rates stand still: they say nothing, good or bad."
            ),
            dashboard="/d/fgctl-scoring",
        )
    ],
)

_SILENT_FROM_THE_START = Scenario(
    "after a restart nothing is ever scored: the time of the last score is 0",
    health(120)
    | answers("short", "v1", [Answers(60), RESTART, Answers(60, a_minute=0)])
    | {_OFFERED: counter((60, 10), RESTART, (60, 10)), _LAST_SCORE: counter((60, 60), RESTART, (60, 0))},
    firing={60: [], 64: [], 68: [_SILENT], 120: [_SILENT]},
)

_WAKES_UP = Scenario(
    "after a restart the first scores take three minutes",
    health(120)
    | answers("short", "v1", [Answers(60), RESTART, Answers(60)])
    | {_LAST_SCORE: f"{counter((60, 60))} 0+0x2 3780+60x56"},
    firing={60: [], 62: [], 64: [], 70: [], 120: []},
)

_NIGHT = Scenario(
    "four hours without a question, then questions again",
    health(400)
    | answers("short", "v1", [Answers(60), Answers(240, a_minute=0), Answers(100)])
    | {_LAST_SCORE: f"{counter((60, 60), (241, 0))} 18120+60x98"},
    firing={60: [], 90: [], 300: [], 301: [], 303: [], 310: [], 400: []},
)

_OTHER_INSTANCE = Scenario(
    "one of two instances is silent",
    health(120)
    | answers("short", "v1", [Answers(60), Answers(60, a_minute=0)])
    | {_OFFERED: counter((120, 10)), _LAST_SCORE: counter((60, 60), (60, 0))}
    | health(120, {"job": "fgctl", "instance": "b:8000"})
    | answers("short", "v1", [Answers(120)], {"job": "fgctl", "instance": "b:8000"}),
    firing={60: [], 120: [_SILENT]},
)

_SHARE_OF_NONE = Scenario(
    "no answer is in the sample: nothing is to be scored",
    health(120)
    | answers("short", "v1", [Answers(120, a_minute=0)])
    | {_OFFERED: counter((120, 10)), _dropped("sampled_out"): counter((120, 10)), _LAST_SCORE: gauge((120, 0))},
    firing={20: [], 60: [], 120: []},
)

_NO_PASSAGES = Scenario(
    "no question has passages: nothing can be scored",
    health(120)
    | answers("short", "v1", [Answers(120, a_minute=0)])
    | {_OFFERED: counter((120, 10)), _dropped("no_passages"): counter((120, 10)), _LAST_SCORE: gauge((120, 0))},
    firing={20: [], 60: [], 120: []},
)

_SAMPLE = Scenario(
    "nine in ten answers are not in the sample, and all others are scored",
    health(90)
    | answers("short", "v1", [Answers(90, a_minute=1)])
    | {_OFFERED: counter((90, 10)), _dropped("sampled_out"): counter((90, 9))},
    firing={20: [], 60: [], 90: []},
    samples=[(90, "round(fg:scoring_coverage:1h, 0.000001)", {'{profile="short"}': 0.1})],
)

_LOSES = Scenario(
    "one in ten answers finds no place in the queue",
    health(60)
    | answers("short", "v1", [Answers(60, a_minute=9)])
    | answers("long", "v2", [Answers(60)])
    | {_OFFERED: counter((60, 10)), _dropped("queue_full"): counter((60, 1))},
    firing={10: [], 60: [firing("FgctlScoringLosesAnswers", "ticket", "scoring", profile="short")]},
    told=[
        Expected(
            "FgctlScoringLosesAnswers",
            {"severity": "ticket", "component": "scoring", "profile": "short"},
            at=60,
            summary="10% of the answers of short to be scored are lost",
            description=(
                "In the last half hour scoring dropped 10% of the answers of short that were in its sample. Their "
                "errors are in no rate."
            ),
            dashboard="/d/fgctl-scoring?var-profile=short",
        )
    ],
)

_LOSES_FEW = Scenario(
    "one of a handful of answers is lost",
    health(60)
    | answers("short", "v1", [Answers(60, a_minute=0.5)])
    | {_OFFERED: counter((60, 0.6)), _dropped("failed"): counter((60, 0.1))},
    firing={30: [], 60: []},
)

_FULL = Scenario(
    "the queue fills up",
    health(60)
    | answers("short", "v1", [Answers(60)])
    | {series("fg_scoring_queue_depth", **INSTANCE): gauge((30, 3), (30, 250))},
    firing={34: [], 60: [firing("FgctlScoringQueueSaturated", "ticket", "scoring", **_HERE)]},
    told=[
        Expected(
            "FgctlScoringQueueSaturated",
            {"severity": "ticket", "component": "scoring", **_HERE},
            at=60,
            summary="The scoring queue of a:8000 is full",
            description=(
                "For ten minutes 97.66% of the places in the scoring queue of a:8000 were taken. What finds no place "
                "is not scored; replies are not delayed."
            ),
            dashboard="/d/fgctl-scoring",
        )
    ],
)

_LATE = Scenario(
    "scores come one to two minutes after their answers",
    health(60)
    | answers("short", "v1", [Answers(60)])
    | histogram("fg_scoring_lag_seconds", (1, 60, 120), [(60, 20)], 2, **INSTANCE),
    firing={8: [], 30: [firing("FgctlScoringLag", "ticket", "scoring")]},
    told=[
        Expected(
            "FgctlScoringLag",
            {"severity": "ticket", "component": "scoring"},
            at=30,
            summary="Scores come 1m 57s after their answers",
            description=(
                "One answer in twenty waits 1m 57s or longer for its scores. Error rates and canaries are behind what "
                "is answered now."
            ),
            dashboard="/d/fgctl-scoring",
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
    samples=[(60, "round(fg:scoring_busy_ratio:5m, 0.000001)", {"{}": 0.75})],
)

SCENARIOS = [
    _FALLS_SILENT,
    _SILENT_FROM_THE_START,
    _WAKES_UP,
    _NIGHT,
    _OTHER_INSTANCE,
    _SHARE_OF_NONE,
    _NO_PASSAGES,
    _SAMPLE,
    _LOSES,
    _LOSES_FEW,
    _FULL,
    _LATE,
    _BUSY,
]
