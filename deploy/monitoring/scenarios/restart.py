"""Restarts and replicas: counters begin again, instances come and go. Error ratios stay the same and no alert fires."""

from deploy.monitoring.scenarios.healthy_service import INSTANCE, Answers, answers, good_day, health
from deploy.monitoring.scenarios.scenario import PRODUCTION, RESTART, Gone, Scenario

_B = {**PRODUCTION, "instance": "b:8000"}
_RATIOS = {
    '{category="relevance", policy="v1", profile="short"}': 0.5,
    '{category="factuality", policy="v1", profile="short"}': 0.1,
    '{category="completeness", policy="v1", profile="short"}': 0.7,
}
_SENTENCES = "round(fg:segments_scored:increase1h{category='factuality'}, 0.000001)"
_RATIO = "round(fg:error_ratio:1h, 0.000001)"

SCENARIOS = [
    Scenario(
        "counters begin again twice",
        health(180) | answers("short", "v1", [Answers(60), RESTART, Answers(30), RESTART, Answers(90)]),
        firing={59: [], 61: [], 66: [], 91: [], 120: [], 180: []},
        samples=[
            (75, _RATIO, _RATIOS),
            (100, _RATIO, _RATIOS),
            (
                100,
                _SENTENCES,
                {'{category="factuality", policy="v1", profile="short"}': 2400},
            ),
        ],
    ),
    Scenario(
        "a restart with three minutes in which there is nothing to scrape",
        health(120) | answers("short", "v1", [Answers(60), Gone(3), RESTART, Answers(57)]),
        firing={61: [], 64: [], 70: [], 120: []},
        samples=[(80, _RATIO, _RATIOS)],
    ),
    Scenario(
        "one of two instances is removed",
        good_day(200, ("short", "v1")) | answers("short", "v1", [Answers(60), Gone(140)], _B),
        firing={60: [], 64: [], 90: [], 200: []},
        samples=[
            (
                60,
                _SENTENCES,
                {'{category="factuality", policy="v1", profile="short"}': 4800},
            ),
            (62, _RATIO, _RATIOS),
            (
                200,
                _SENTENCES,
                {'{category="factuality", policy="v1", profile="short"}': 2400},
            ),
            (200, _RATIO, _RATIOS),
        ],
    ),
    Scenario(
        "one instance takes over from another: its counters begin at zero",
        health(180)
        | answers("short", "v1", [Answers(90), Gone(90)], INSTANCE)
        | answers("short", "v1", [Answers(90, per_minute=0), Answers(90)], _B),
        firing={90: [], 92: [], 100: [], 180: []},
        samples=[(100, _RATIO, _RATIOS), (180, _RATIO, _RATIOS)],
    ),
]
