"""A canary and its incumbent. A unit test compares the numbers with those of policies.promotion.sequential."""

from collections.abc import Mapping
from dataclasses import dataclass

from deploy.monitoring.scenarios.healthy_service import INSTANCE, health
from deploy.monitoring.scenarios.scenario import PRODUCTION, Notification, Scenario, firing, gauge, series

_HERE = {"profile": "short", "canary": "v2"}
_B = {**PRODUCTION, "instance": "b:8000"}


@dataclass(frozen=True)
class Evidence:
    """One arm's responses, and by category the sums of their mean error probabilities and of the squares of those."""

    responses: float
    sums: Mapping[str, tuple[float, float]]


# Means 0.55 and 0.45 in relevance, with variances of 0.04; 0.1 and 0.7 in the others, with 0.02 and 0.09.
WORSE = (
    Evidence(400, {"relevance": (220, 137), "factuality": (40, 12), "completeness": (280, 232)}),
    Evidence(3600, {"relevance": (1620, 873), "factuality": (360, 108), "completeness": (2520, 2088)}),
)
# 0.47 and 0.45.
UNDECIDED = (
    Evidence(400, {"relevance": (188, 104.36), "factuality": (40, 12), "completeness": (280, 232)}),
    Evidence(3600, {"relevance": (1620, 873), "factuality": (360, 108), "completeness": (2520, 2088)}),
)
NO_WORSE = (
    Evidence(2000, {"relevance": (900, 485), "factuality": (200, 60), "completeness": (1400, 1160)}),
    Evidence(2000, {"relevance": (900, 485), "factuality": (200, 60), "completeness": (1400, 1160)}),
)
# As bad as possible, but one response too few.
TOO_FEW = (
    Evidence(29, {"relevance": (29, 29), "factuality": (29, 29), "completeness": (29, 29)}),
    Evidence(3600, {"relevance": (1620, 873), "factuality": (360, 108), "completeness": (2520, 2088)}),
)
RADIUS: Mapping[str, Mapping[str, float]] = {
    "worse": {"relevance": 0.03686, "factuality": 0.026064, "completeness": 0.05529},
    "undecided": {"relevance": 0.03686, "factuality": 0.026064, "completeness": 0.05529},
    "no_worse": {"relevance": 0.022116, "factuality": 0.015638, "completeness": 0.033174},
}
DIFFERENCE: Mapping[str, Mapping[str, float]] = {
    "worse": {"relevance": 0.1, "factuality": 0, "completeness": 0},
    "undecided": {"relevance": 0.02, "factuality": 0, "completeness": 0},
    "no_worse": {"relevance": 0, "factuality": 0, "completeness": 0},
}


def _trial(arms: tuple[Evidence, Evidence], instance: Mapping[str, str] = INSTANCE, part: float = 1) -> dict[str, str]:
    exported = {}
    for arm, evidence in zip(("canary", "incumbent"), arms, strict=True):
        labels = {**instance, **_HERE, "arm": arm}
        exported[series("fg_canary_responses_total", **labels)] = gauge((10, evidence.responses * part))
        for category, (total, squares) in evidence.sums.items():
            by_category = labels | {"category": category}
            exported[series("fg_canary_error_probability_total", **by_category)] = gauge((10, total * part))
            exported[series("fg_canary_error_probability_squares_total", **by_category)] = gauge((10, squares * part))
    return exported


def _running(instance: Mapping[str, str] = INSTANCE) -> dict[str, str]:
    return {series("fg_canary_share", **instance, profile="short", policy="v2"): gauge((10, 0.1))}


def _verdict(holds: str) -> tuple[int, str, dict[str, float]]:
    return 10, "fg:canary_verdict", {
        f'fg:canary_verdict{{canary="v2", profile="short", verdict="{verdict}"}}': int(verdict == holds)
        for verdict in ("worse", "no_worse", "undecided")
    }  # fmt: skip


def _rounded(name: str, values: Mapping[str, float]) -> tuple[int, str, dict[str, float]]:
    # From 1: a difference of 0 may come out as a very small number below it, which rounds to -0.
    return 10, f"round(1 + {name}, 0.000001)", {
        f'{{canary="v2", category="{category}", profile="short"}}': round(1 + value, 6)
        for category, value in values.items()
    }  # fmt: skip


_WORSE = firing("FgctlCanaryWorse", "page", "policies", **_HERE, policy="v2", verdict="worse")

SCENARIOS = [
    Scenario(
        "the canary is worse",
        health(10) | _trial(WORSE) | _running(),
        firing={0: [], 10: [_WORSE]},
        samples=[
            _verdict("worse"),
            _rounded("fg:canary_difference", DIFFERENCE["worse"]),
            _rounded("fg:canary_radius", RADIUS["worse"]),
        ],
        notifications=[
            Notification(
                "FgctlCanaryWorse",
                {
                    **PRODUCTION,
                    "severity": "page",
                    "component": "policies",
                    **_HERE,
                    "policy": "v2",
                    "verdict": "worse",
                },
                at=10,
                summary="The canary v2 of short is worse than its incumbent",
                description=(
                    "In relevance its mean error probability is above the incumbent's by at least 6.314%. However "
                    "often the test is read, the probability that it wrongly calls a canary worse is at most 5 %. End "
                    "the canary: fgctl policies canary short --end."
                ),
                dashboard="/d/fgctl-policies?var-namespace=production&var-job=fgctl&var-profile=short",
            )
        ],
    ),
    Scenario(
        "two replicas with half of the evidence each",
        health(10) | _trial(WORSE, part=0.5) | _trial(WORSE, _B, part=0.5) | _running() | _running(_B),
        firing={10: [_WORSE]},
        samples=[_verdict("worse"), _rounded("fg:canary_radius", RADIUS["worse"])],
    ),
    Scenario(
        "a canary that was worse and has ended does not alert",
        health(10) | _trial(WORSE),
        firing={10: []},
        samples=[_verdict("worse")],
    ),
    Scenario(
        "the canary may be worse, or may not",
        health(10) | _trial(UNDECIDED) | _running(),
        firing={10: []},
        samples=[
            _verdict("undecided"),
            _rounded("fg:canary_difference", DIFFERENCE["undecided"]),
            _rounded("fg:canary_radius", RADIUS["undecided"]),
        ],
    ),
    Scenario(
        "the canary is no worse",
        health(10) | _trial(NO_WORSE) | _running(),
        firing={10: []},
        samples=[
            _verdict("no_worse"),
            _rounded("fg:canary_difference", DIFFERENCE["no_worse"]),
            _rounded("fg:canary_radius", RADIUS["no_worse"]),
        ],
    ),
    Scenario(
        "the canary has one response too few for any verdict",
        health(10) | _trial(TOO_FEW) | _running(),
        firing={10: []},
        samples=[_verdict("undecided"), (10, "fg:canary_radius", {})],
    ),
    Scenario(
        "the canary has begun and has no responses yet",
        health(10) | _trial((Evidence(0, {"relevance": (0, 0)}), Evidence(0, {"relevance": (0, 0)}))) | _running(),
        firing={10: []},
        samples=[_verdict("undecided"), (10, "fg:canary_difference", {})],
    ),
]
