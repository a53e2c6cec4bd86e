"""Scores and inputs against the version's evaluation.

A unit test compares the numbers with those of rewards.statistics.distribution_shift.
"""

from collections.abc import Mapping

from deploy.monitoring.scenarios.healthy_service import INSTANCE, Answers, answers, health
from deploy.monitoring.scenarios.scenario import PRODUCTION, Notification, Scenario, counter, firing, gauge, series

_SHORT = {"profile": "short", "policy": "v1"}
_BINS = ("0.0", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9")
SENTENCES, RESPONSES = 320, 80
"""In the evaluation."""
SCORES = dict(zip(_BINS, (0.40, 0.25, 0.10, 0.05, 0.05, 0.05, 0.04, 0.03, 0.02, 0.01), strict=True))
LANGUAGES = {"en": 0.9, "other": 0.08, "unknown": 0.02}
# Online, per minute: 40 sentences or 10 requests; an hour has 60 times as many.
ALIKE = dict(zip(_BINS, (14, 11, 5, 2, 2, 2, 1, 1, 1, 1), strict=True))
APART = dict(zip(_BINS, (6, 4, 2, 1, 1, 2, 4, 6, 8, 6), strict=True))
GAPS = dict(zip(_BINS, (20, 10, 5, 2, 1, 1, 1, 0, 0, 0), strict=True))
ENGLISH = {"en": 9, "other": 1, "unknown": 0}
FOREIGN = {"en": 5, "other": 4, "unknown": 1}
PSI = {"alike": 0.034538, "apart": 1.439609, "gaps": 0.369976, "english": 0.08846, "foreign": 0.81616}
CHANCE = {"scores": 0.031875, "inputs": 0.028333}


def _scores(counts: Mapping[str, int], *, sparse: bool = False) -> dict[str, str]:
    """Counters of bins; with `sparse`, empty bins have none."""
    labels = {**INSTANCE, **_SHORT, "category": "factuality"}
    return {
        series("fg_score_bin_total", **labels, bin=name): counter((400, count))
        for name, count in counts.items()
        if count or not sparse
    }


def _score_baseline(segments: int = SENTENCES) -> dict[str, str]:
    labels = {**INSTANCE, **_SHORT, "category": "factuality"}
    shares = {series("fg_baseline_score_ratio", **labels, bin=name): gauge((400, x)) for name, x in SCORES.items()}
    return shares | {series("fg_baseline_segments", **labels): gauge((400, segments))}


def _inputs(counts: Mapping[str, int]) -> dict[str, str]:
    labels = {**INSTANCE, **_SHORT}
    online = {
        series("fg_input_bin_total", **labels, input="language", bin=name): counter((400, count))
        for name, count in counts.items()
    }
    offline = {
        series("fg_baseline_input_ratio", **labels, input="language", bin=name): gauge((400, share))
        for name, share in LANGUAGES.items()
    }
    return online | offline | {series("fg_baseline_questions", **labels): gauge((400, RESPONSES))}


def _service() -> dict[str, str]:
    return health(400) | answers("short", "v1", [Answers(400)])


def _score(name: str, value: float) -> tuple[int, str, dict[str, float]]:
    expected = {'{category="factuality", policy="v1", profile="short"}': value}
    return 60, f"round(fg:score_shift_{name}:1h, 0.000001)", expected


def _input(name: str, value: float) -> tuple[int, str, dict[str, float]]:
    return (
        60,
        f"round(fg:input_shift_{name}:1h, 0.000001)",
        {'{input="language", policy="v1", profile="short"}': value},
    )


_SCORE_SHIFT = firing("FgctlScoreShift", "ticket", "quality", **_SHORT, category="factuality")
_INPUT_SHIFT = firing("FgctlInputShift", "ticket", "quality", **_SHORT, input="language")
_QUALITY = "/d/fgctl-quality?var-namespace=production&var-job=fgctl&var-profile=short&var-policy=v1"

SCENARIOS = [
    Scenario(
        "scores and inputs are distributed as in the evaluation",
        _service() | _scores(ALIKE) | _score_baseline() | _inputs(ENGLISH),
        firing={60: [], 400: []},
        samples=[
            _score("psi", PSI["alike"]),
            _score("chance", CHANCE["scores"]),
            _input("psi", PSI["english"]),
            _input("chance", CHANCE["inputs"]),
        ],
    ),
    Scenario(
        "error probabilities are high that were low in the evaluation",
        _service() | _scores(APART) | _score_baseline(),
        firing={20: [], 60: [_SCORE_SHIFT]},
        samples=[_score("psi", PSI["apart"])],
        notifications=[
            Notification(
                "FgctlScoreShift",
                {**PRODUCTION, "severity": "ticket", "component": "quality", **_SHORT, "category": "factuality"},
                at=60,
                summary="The factuality scores of short v1 are distributed differently than in its evaluation",
                description=(
                    "Over six hours the population stability index of the factuality error probabilities of short v1 "
                    "is 1.44. Above 0.25 is a large shift, and sampling does not explain this one. If all versions "
                    "have shifted, suspect the inputs or the reward models; if only this one, the version."
                ),
                dashboard=_QUALITY,
            )
        ],
    ),
    Scenario(
        "empty bins have no counter; the index is large, but chance explains it with only 320 sentences",
        _service() | _scores(GAPS, sparse=True) | _score_baseline(),
        firing={60: []},
        samples=[_score("psi", PSI["gaps"]), _score("chance", CHANCE["scores"])],
    ),
    Scenario(
        "a shift that sampling does not explain, but a small one",
        _service() | _scores(ALIKE) | _score_baseline(100_000),
        firing={400: []},
    ),
    Scenario(
        "half of the questions are not English",
        _service() | _inputs(FOREIGN),
        firing={20: [], 60: [_INPUT_SHIFT]},
        samples=[_input("psi", PSI["foreign"])],
        notifications=[
            Notification(
                "FgctlInputShift",
                {**PRODUCTION, "severity": "ticket", "component": "quality", **_SHORT, "input": "language"},
                at=60,
                summary="Requests to short v1 differ from its evaluation in language",
                description=(
                    "Over six hours the population stability index of language in the scored requests to short v1 is "
                    "0.82. Above 0.25 is a large shift, and sampling does not explain this one. The figures of its "
                    "evaluation may not hold for these requests: find out which caller sends them."
                ),
                dashboard=_QUALITY,
            )
        ],
    ),
    Scenario(
        "a version without a baseline has no shift",
        _service() | _scores(APART),
        firing={60: []},
        samples=[(60, "fg:score_shift_psi:1h", {}), (60, "fg:score_shift_chance:1h", {})],
    ),
    Scenario(
        "a version without traffic has no shift",
        _service() | _scores(dict.fromkeys(_BINS, 0)) | _score_baseline(),
        firing={60: []},
        samples=[(60, "fg:score_shift_psi:1h", {})],
    ),
]
