"""A service as Prometheus sees it, minute by minute: healthy unless something else is said of one series."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from deploy.monitoring.scenarios.scenario import Gone, counter, gauge, series

SEGMENTS: Mapping[str, int] = {"relevance": 6, "factuality": 4, "completeness": 1}
"""Of a response."""
ERRORS: Mapping[str, float] = {"relevance": 0.5, "factuality": 0.1, "completeness": 0.7}
"""Shares that are errors on a good day."""
INSTANCE: Mapping[str, str] = {"job": "fgctl", "instance": "a:8000"}
_OUTCOMES = ("cancelled", "error", "rejected", "limited", "overloaded", "timeout")
_REASONS = ("queue_full", "timeout", "failed", "worker_died", "no_passages", "sampled_out")


@dataclass(frozen=True)
class Answers:
    """A phase in which a policy answers steadily, and every answer is scored."""

    minutes: int
    a_minute: float = 10.0
    errors: Mapping[str, float] = field(default_factory=dict)
    """Shares of segments, by category, where they are not those of a good day."""


Phases = Sequence[Answers | Gone | str]


def good_day(minutes: int, *policies: tuple[str, str], instance: Mapping[str, str] = INSTANCE) -> dict[str, str]:
    """Everything that alerts look at, for policies of (profile, version) that answer as they should."""
    exported = health(minutes, instance)
    for profile, policy in policies:
        exported |= answers(profile, policy, [Answers(minutes)], instance)
    return exported


def health(minutes: int, instance: Mapping[str, str] = INSTANCE) -> dict[str, str]:
    """What an instance says of itself."""
    return {
        series("up", **instance): gauge((minutes, 1)),
        series("fg_engine_up", **instance): gauge((minutes, 1)),
        series("process_start_time_seconds", **instance): gauge((minutes, 0)),
        series("fg_engine_restarts_total", **instance): counter((minutes, 0)),
        series("fg_scoring_queue_depth", **instance): gauge((minutes, 3)),
        series("fg_scoring_queue_capacity", **instance): gauge((minutes, 256)),
        series("fg_last_score_timestamp_seconds", **instance): counter((minutes, 60)),
    } | histogram("fg_scoring_lag_seconds", (1, 60), [(minutes, 20)], 0, **instance)


def answers(
    profile: str,
    policy: str,
    phases: Phases,
    instance: Mapping[str, str] = INSTANCE,
    segments: Mapping[str, int] = SEGMENTS,
) -> dict[str, str]:
    """What a policy's answers count: requests that ended well and soon, and scores."""
    who = dict(instance) | {"profile": profile}
    given = [_each(phase, 1.0) for phase in phases]
    nothing = [_each(phase, 0.0) for phase in phases]
    exported = {
        series("fg_requests_total", **who, policy=policy, outcome="ok"): counter(*given),
        **{series("fg_requests_total", **who, policy=policy, outcome=one): counter(*nothing) for one in _OUTCOMES},
        series("fg_scoring_offered_total", **who): counter(*given),
        series("fg_responses_scored_total", **who, policy=policy): counter(*given),
        **{series("fg_scoring_dropped_total", **who, reason=one): counter(*nothing) for one in _REASONS},
        **histogram("fg_time_to_first_token_seconds", (1, 5, 10), given, 0, **who),
        **histogram("fg_generation_seconds", (10, 60, 120), given, 0, **who),
    }
    for category, pieces in segments.items():
        labels = who | {"policy": policy, "category": category}
        exported[series("fg_segments_scored_total", **labels)] = counter(*[_each(one, pieces) for one in phases])
        exported[series("fg_segment_errors_total", **labels)] = counter(
            *[_each(one, pieces * _errors(one, category)) for one in phases]
        )
    return exported


def histogram(
    name: str, edges: Sequence[float], phases: Sequence[tuple[int, float] | str | Gone], at: int, **labels: str
) -> dict[str, str]:
    """A histogram whose observations all lie in one bucket: that of `edges[at]`, or the open one beyond the last."""
    nothing = [(one[0], 0.0) if isinstance(one, tuple) else one for one in phases]
    exported = {
        series(f"{name}_bucket", **labels, le=f"{edge:g}"): counter(*(phases if place >= at else nothing))
        for place, edge in enumerate(edges)
    }
    exported[series(f"{name}_bucket", **labels, le="+Inf")] = counter(*phases)
    exported[series(f"{name}_count", **labels)] = counter(*phases)
    return exported


def baseline(profile: str, policy: str, segments: Mapping[str, float], errors: Mapping[str, float]) -> dict[str, str]:
    """What the version's evaluation said: how many segments, and which shares of them were errors."""
    labels = dict(INSTANCE) | {"profile": profile, "policy": policy}
    exported = {}
    for category, number in segments.items():
        exported[series("fg_baseline_segments", **labels, category=category)] = gauge((600, number))
        exported[series("fg_policy_baseline_error_ratio", **labels, category=category)] = gauge((600, errors[category]))
    return exported


def _each(phase: Answers | Gone | str, factor: float) -> tuple[int, float] | Gone | str:
    return (phase.minutes, phase.a_minute * factor) if isinstance(phase, Answers) else phase


def _errors(phase: Answers | Gone | str, category: str) -> float:
    if not isinstance(phase, Answers):
        return 0.0
    return phase.errors.get(category, ERRORS.get(category, 0.0))
