"""The series of a healthy service, minute by minute. A scenario replaces those in which something is wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from deploy.monitoring.scenarios.scenario import PRODUCTION, Gone, counter, gauge, series

SEGMENTS: Mapping[str, int] = {"relevance": 6, "factuality": 4, "completeness": 1}
"""Segments of a response."""
ERRORS: Mapping[str, float] = {"relevance": 0.5, "factuality": 0.1, "completeness": 0.7}
"""The error ratios on a good day."""
INSTANCE: Mapping[str, str] = {**PRODUCTION, "instance": "a:8000"}
_OUTCOMES = ("cancelled", "error", "rejected", "limited", "overloaded", "timeout")
_REASONS = ("queue_full", "timeout", "failed", "worker_died", "no_passages", "sampled_out")


@dataclass(frozen=True)
class Answers:
    """A phase in which a policy answers at a steady rate and every answer is scored."""

    minutes: int
    per_minute: float = 10.0
    errors: Mapping[str, float] = field(default_factory=dict)
    """Error ratios by category, where they differ from those of a good day."""


Phases = Sequence[Answers | Gone | str]


def good_day(minutes: int, *policies: tuple[str, str], instance: Mapping[str, str] = INSTANCE) -> dict[str, str]:
    """Everything that alerts look at, for policies of (profile, version) that answer as they should."""
    exported = health(minutes, instance)
    for profile, policy in policies:
        exported |= answers(profile, policy, [Answers(minutes)], instance)
    return exported


def health(minutes: int, instance: Mapping[str, str] = INSTANCE) -> dict[str, str]:
    """What an instance exports about itself."""
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
    """What a policy's answers are counted in: requests that ended well and soon, and scores."""
    labels = dict(instance) | {"profile": profile}
    answered = [_counted(phase, 1.0) for phase in phases]
    nothing = [_counted(phase, 0.0) for phase in phases]
    exported = {
        series("fg_requests_total", **labels, policy=policy, outcome="ok"): counter(*answered),
        **{
            series("fg_requests_total", **labels, policy=policy, outcome=outcome): counter(*nothing)
            for outcome in _OUTCOMES
        },
        series("fg_scoring_offered_total", **labels): counter(*answered),
        series("fg_responses_scored_total", **labels, policy=policy): counter(*answered),
        **{series("fg_scoring_dropped_total", **labels, reason=reason): counter(*nothing) for reason in _REASONS},
        **histogram("fg_time_to_first_token_seconds", (1, 5, 10), answered, 0, **labels),
        **histogram("fg_generation_seconds", (10, 60, 120), answered, 0, **labels),
    }
    for category, number in segments.items():
        by_category = labels | {"policy": policy, "category": category}
        exported[series("fg_segments_scored_total", **by_category)] = counter(
            *[_counted(phase, number) for phase in phases]
        )
        exported[series("fg_segment_errors_total", **by_category)] = counter(
            *[_counted(phase, number * _error_ratio(phase, category)) for phase in phases]
        )
    return exported


def histogram(
    name: str, edges: Sequence[float], phases: Sequence[tuple[int, float] | str | Gone], at: int, **labels: str
) -> dict[str, str]:
    """A histogram whose observations all lie in one bucket: that of `edges[at]`, or the open one after the last."""
    nothing = [(phase[0], 0.0) if isinstance(phase, tuple) else phase for phase in phases]
    exported = {
        series(f"{name}_bucket", **labels, le=f"{edge:g}"): counter(*(phases if place >= at else nothing))
        for place, edge in enumerate(edges)
    }
    exported[series(f"{name}_bucket", **labels, le="+Inf")] = counter(*phases)
    exported[series(f"{name}_count", **labels)] = counter(*phases)
    return exported


def baseline(profile: str, policy: str, segments: Mapping[str, float], errors: Mapping[str, float]) -> dict[str, str]:
    """The version's offline evaluation: its numbers of segments and its error ratios."""
    labels = dict(INSTANCE) | {"profile": profile, "policy": policy}
    exported = {}
    for category, number in segments.items():
        exported[series("fg_baseline_segments", **labels, category=category)] = gauge((600, number))
        exported[series("fg_policy_baseline_error_ratio", **labels, category=category)] = gauge((600, errors[category]))
    return exported


def _counted(phase: Answers | Gone | str, factor: float) -> tuple[int, float] | Gone | str:
    return (phase.minutes, phase.per_minute * factor) if isinstance(phase, Answers) else phase


def _error_ratio(phase: Answers | Gone | str, category: str) -> float:
    if not isinstance(phase, Answers):
        return 0.0
    return phase.errors.get(category, ERRORS.get(category, 0.0))
