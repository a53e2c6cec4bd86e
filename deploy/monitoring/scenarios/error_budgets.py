"""Error ratios against budgets and against the versions' own evaluations."""

from deploy.monitoring.scenarios.healthy_service import INSTANCE, Answers, answers, baseline, good_day, health
from deploy.monitoring.scenarios.scenario import PRODUCTION, STAGING, Notification, Scenario, firing, gauge, series

_STAGING = {**STAGING, "instance": "a:8000"}
_SHORT = {"profile": "short", "policy": "v1"}
_FAST = firing("FgctlErrorBudgetBurnFast", "page", "quality", **_SHORT, category="factuality")
_SLOW = firing("FgctlErrorBudgetBurnSlow", "ticket", "quality", **_SHORT, category="factuality")
_QUALITY = "/d/fgctl-quality?var-namespace=production&var-job=fgctl&var-profile=short&var-policy=v1"

_GOOD = Scenario(
    "a good day",
    good_day(370, ("short", "v1"), ("long", "v2"))
    | baseline("short", "v1", {"relevance": 600, "factuality": 320, "completeness": 80}, {
        "relevance": 0.48, "factuality": 0.1, "completeness": 0.7,
    }),
    firing={10: [], 60: [], 240: [], 370: []},
    samples=[
        (90, 'round(fg:error_ratio:1h{profile="long"}, 0.000001)', {
            '{category="relevance", policy="v2", profile="long"}': 0.5,
            '{category="factuality", policy="v2", profile="long"}': 0.1,
            '{category="completeness", policy="v2", profile="long"}': 0.7,
        }),
        (90, 'round(fg:segments_scored:increase1h{profile="long", category="factuality"}, 0.000001)', {
            '{category="factuality", policy="v2", profile="long"}': 2400,
        }),
        (90, "round(fg:scoring_coverage:1h, 0.000001)", {'{profile="short"}': 1, '{profile="long"}': 1}),
        (90, 'fg:burn_threshold:fast{category="factuality"}', {
            'fg:burn_threshold:fast{category="factuality", policy="v1", profile="short"}': 0.475,
            'fg:burn_threshold:fast{category="factuality", policy="v2", profile="long"}': 0.405,
        }),
        (90, 'fg:burn_minimum:fast{category="factuality"}', {
            'fg:burn_minimum:fast{category="factuality", policy="v1", profile="short"}': 294,
            'fg:burn_minimum:fast{category="factuality", policy="v2", profile="long"}': 182,
        }),
        (90, "fg:error_budget", {
            'fg:error_budget{category="relevance", policy="v1", profile="short"}': 0.6,
            'fg:error_budget{category="factuality", policy="v1", profile="short"}': 0.25,
            'fg:error_budget{category="completeness", policy="v1", profile="short"}': 0.85,
            'fg:error_budget{category="relevance", policy="v2", profile="long"}': 0.8,
            'fg:error_budget{category="factuality", policy="v2", profile="long"}': 0.15,
            'fg:error_budget{category="completeness", policy="v2", profile="long"}': 0.85,
        }),
    ],
)  # fmt: skip

_AT_BUDGET = Scenario(
    "every category is exactly at its budget, all day",
    health(370)
    | answers("short", "v1", [Answers(370, errors={"relevance": 0.6, "factuality": 0.25, "completeness": 0.85})]),
    firing={60: [], 240: [], 370: []},
)

_FAST_BURN = Scenario(
    "fast burn: six in ten sentences are wrong for an hour, then everything is fine again",
    health(240)
    | answers("short", "v1", [Answers(120), Answers(60, errors={"factuality": 0.6}), Answers(60)])
    | answers("long", "v2", [Answers(240)]),
    firing={
        120: [],
        165: [],  # 45 minutes of 0.6 and 15 of 0.1 are 0.475 in the hour: at the threshold
        170: [_FAST],
        180: [_FAST],
        186: [],  # the last five minutes are good, although the hour is not
        240: [],
    },
    notifications=[
        Notification(
            "FgctlErrorBudgetBurnFast",
            {**PRODUCTION, "severity": "page", "component": "quality", **_SHORT, "category": "factuality"},
            at=170,
            summary="short v1: 51.67% of segments are factuality errors",
            description=(
                "In the last hour, 51.67% of the segments that short v1 wrote were factuality errors. This alert "
                "fires above 47.5%, and the last five minutes were above it too; the budget is 25%. "
                "Labels, where there are any, correct the share. If it began "
                "with a promotion, roll back: fgctl policies rollback short."
            ),
            dashboard=_QUALITY,
        )
    ],
)

_SLOW_BURN = Scenario(
    "slow burn: four in ten sentences are wrong from the second hour on, until the sixth",
    health(400) | answers("short", "v1", [Answers(60), Answers(300, errors={"factuality": 0.4}), Answers(40)]),
    firing={
        60: [],
        300: [],  # (60 x 0.1 + 240 x 0.4) / 300 is 0.34: at the threshold
        330: [_SLOW],
        360: [_SLOW],
        400: [],  # the last half hour was good, although the six hours are at 0.35
    },
    notifications=[
        Notification(
            "FgctlErrorBudgetBurnSlow",
            {**PRODUCTION, "severity": "ticket", "component": "quality", **_SHORT, "category": "factuality"},
            at=330,
            summary="short v1: 34.55% of segments are factuality errors",
            description=(
                "In the last six hours, 34.55% of the segments that short v1 wrote were factuality errors. This "
                "alert fires above 34%, and the last 30 minutes were above it too; the budget is 25%. "
                "Labels, where there are any, correct the share. If it began "
                "with a promotion, roll back: fgctl policies rollback short."
            ),
            dashboard=_QUALITY,
        )
    ],
)

_NO_TRAFFIC = Scenario(
    "an hour of traffic, then none for six; another version never had any",
    health(420) | answers("short", "v1", [Answers(60), Answers(360, per_minute=0)])
    | answers("long", "v2", [Answers(420, per_minute=0)]),
    firing={30: [], 62: [], 70: [], 120: [], 300: [], 420: []},
    samples=[
        (420, "fg:error_ratio:1h", {}),
        (420, 'fg:segments_scored:increase1h{profile="short", category="factuality"}', {
            'fg:segments_scored:increase1h{category="factuality", policy="v1", profile="short"}': 0,
        }),
    ],
)  # fmt: skip

_FEW = Scenario(
    "every segment is an error, but there are only twelve answers an hour",
    health(400)
    | answers("short", "v1", [
        Answers(400, per_minute=0.2, errors={"relevance": 1, "factuality": 1, "completeness": 1})
    ]),
    firing={30: [], 60: [], 240: [], 400: []},
    samples=[
        (90, 'round(fg:error_ratio:1h{category="factuality"}, 0.000001)', {
            '{category="factuality", policy="v1", profile="short"}': 1,
        }),
    ],
)  # fmt: skip

_BY_DESIGN = Scenario(
    "an error ratio that pages for one profile is within the budget of another",
    health(30)
    | answers("long", "v2", [Answers(30, errors={"relevance": 0.82})])
    | answers("polite", "v3", [Answers(30, errors={"relevance": 0.82})]),
    firing={
        30: [
            firing("FgctlErrorBudgetBurnFast", "page", "quality", profile="polite", policy="v3", category="relevance"),
        ],
    },
)

_UNSURE = Scenario(
    "completeness, which is judged hardly better than by chance, never pages",
    health(60) | answers("short", "v1", [Answers(60, errors={"completeness": 0.99})]),
    firing={
        40: [],  # fewer than 430 segments
        60: [firing("FgctlErrorBudgetBurnFast", "ticket", "quality", **_SHORT, category="completeness")],
    },
)

_CONFIGURED = Scenario(
    "a configured category has a budget too",
    health(20) | answers("short", "v1", [Answers(20, errors={"politeness": 0.6})], segments={"politeness": 3}),
    firing={20: [firing("FgctlErrorBudgetBurnFast", "page", "quality", **_SHORT, category="politeness")]},
)

_ABOVE_BASELINE = Scenario(
    "within its budget, but above the version's own evaluation for an hour",
    health(100)
    | answers("short", "v1", [Answers(60, errors={"factuality": 0.3}), Answers(40)])
    | baseline("short", "v1", {"factuality": 2000}, {"factuality": 0.1}),
    firing={
        60: [firing("FgctlErrorsAboveBaseline", "ticket", "quality", **_SHORT, category="factuality")],
        100: [],  # the last half hour is like the evaluation
    },
    samples=[
        # sqrt(p (1 - p) (1/2400 + 1/2000)) with p = (720 + 200) / 4400
        (60, "round(fg:error_drift_chance:6h{category='factuality'}, 0.000001)", {
            '{category="factuality", policy="v1", profile="short"}': 0.012312,
        }),
    ],
    notifications=[
        Notification(
            "FgctlErrorsAboveBaseline",
            {**PRODUCTION, "severity": "ticket", "component": "quality", **_SHORT, "category": "factuality"},
            at=60,
            summary="short v1 makes more factuality errors than in its evaluation",
            description=(
                "In the last six hours the factuality error ratio of short v1 was above that of its own "
                "evaluation by 20% of all segments, which is more than sampling explains. Check whether the "
                "inputs have changed; if not, check the stored version with fgctl policies verify."
            ),
            dashboard=_QUALITY,
        )
    ],
)  # fmt: skip

_NOT_ABOVE_BASELINE = Scenario(
    "above the evaluation, but by no more than sampling explains, or by very little, or in very few segments",
    health(60)
    | answers("short", "v1", [Answers(60, errors={"factuality": 0.2})])
    | baseline("short", "v1", {"factuality": 320}, {"factuality": 0.1})
    | answers("medium", "v2", [Answers(60, per_minute=100, errors={"factuality": 0.14})])
    | baseline("medium", "v2", {"factuality": 100_000}, {"factuality": 0.1})
    | answers("long", "v3", [Answers(60, per_minute=0.1, errors={"factuality": 1})])
    | baseline("long", "v3", {"factuality": 100_000}, {"factuality": 0.1}),
    firing={30: [], 60: []},
)

_CORRECTED = Scenario(
    "error ratios are corrected for the reward model's false alarms and misses, unless it is near chance",
    health(90)
    | answers("short", "v1", [Answers(90, errors={"relevance": 0.5, "factuality": 0.1, "completeness": 0.7})])
    | {
        series("fg_scorer_false_alarm_ratio", **INSTANCE, category="relevance"): gauge((91, 0.3)),
        series("fg_scorer_false_alarm_ratio", **INSTANCE, category="factuality"): gauge((91, 0.12)),
        series("fg_scorer_false_alarm_ratio", **INSTANCE, category="completeness"): gauge((91, 0.75)),
        series("fg_scorer_miss_ratio", **INSTANCE, category="relevance"): gauge((91, 0.3)),
        series("fg_scorer_miss_ratio", **INSTANCE, category="factuality"): gauge((91, 0.3)),
        series("fg_scorer_miss_ratio", **INSTANCE, category="completeness"): gauge((91, 0.2)),
    },
    firing={90: []},
    samples=[
        # (0.5 - 0.3) / 0.4; (0.1 - 0.12) / 0.58 is below zero; 1 - 0.75 - 0.2 is too small to divide by
        (90, "round(fg:error_ratio_corrected:1h, 0.000001)", {
            '{category="relevance", policy="v1", profile="short"}': 0.5,
            '{category="factuality", policy="v1", profile="short"}': 0,
        }),
    ],
)  # fmt: skip

_LABELLED = Scenario(
    "on other traffic six in ten sentences look wrong, but labels say two in ten: no alert, until it gets worse",
    health(240)
    | answers("short", "v1", [Answers(120, errors={"factuality": 0.6}), Answers(120, errors={"factuality": 0.95})])
    | {
        series("fg_error_rate_correction", **INSTANCE, profile="short", category="factuality"): gauge((241, -0.4)),
        series("fg_error_rate_calibrated", **INSTANCE, profile="short", category="factuality"): gauge((241, 1)),
    },
    firing={60: [], 120: [], 200: [_FAST], 240: [_FAST, _SLOW]},
    samples=[
        (90, "round(fg:error_ratio_estimated:1h{category='factuality'}, 0.000001)", {
            '{category="factuality", policy="v1", profile="short"}': 0.2,
        }),
        (90, "round(fg:error_ratio:1h{category='factuality'}, 0.000001)", {
            '{category="factuality", policy="v1", profile="short"}': 0.6,
        }),
    ],
)  # fmt: skip

_TWO_SERVICES = Scenario(
    "staging errs in 95 of 100 sentences and production in ten: only staging alerts, and neither is averaged",
    health(40)
    | answers("short", "v1", [Answers(40)])
    | health(40, _STAGING)
    | answers("short", "v1", [Answers(40, errors={"factuality": 0.95})], _STAGING),
    firing={30: [{**_FAST, **STAGING}]},
    samples=[
        (30, "round(fg:error_ratio:1h{category='factuality'}, 0.000001)", {
            '{category="factuality", policy="v1", profile="short"}': 0.1,
            '{namespace="staging", job="fgctl", category="factuality", policy="v1", profile="short"}': 0.95,
        }),
    ],
    notifications=[
        Notification(
            "FgctlErrorBudgetBurnFast",
            {**STAGING, "severity": "page", "component": "quality", **_SHORT, "category": "factuality"},
            at=30,
            summary="short v1: 95% of segments are factuality errors",
            description=(
                "In the last hour, 95% of the segments that short v1 wrote were factuality errors. This alert "
                "fires above 47.5%, and the last five minutes were above it too; the budget is 25%. "
                "Labels, where there are any, correct the share. If it began "
                "with a promotion, roll back: fgctl policies rollback short."
            ),
            dashboard="/d/fgctl-quality?var-namespace=staging&var-job=fgctl&var-profile=short&var-policy=v1",
        )
    ],
)  # fmt: skip

SCENARIOS = [
    _GOOD,
    _AT_BUDGET,
    _FAST_BURN,
    _SLOW_BURN,
    _NO_TRAFFIC,
    _FEW,
    _BY_DESIGN,
    _UNSURE,
    _CONFIGURED,
    _ABOVE_BASELINE,
    _NOT_ABOVE_BASELINE,
    _CORRECTED,
    _LABELLED,
    _TWO_SERVICES,
]
