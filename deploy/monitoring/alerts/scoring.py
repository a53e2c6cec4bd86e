"""Alerts on scoring: whether it works, keeps up and loses nothing."""

from deploy.monitoring.lookback_windows import MINUTE, Timing
from deploy.monitoring.rule_groups import Alert

SILENCE = 10 * MINUTE
LATE_SECONDS = 60
"""A 95th percentile of the lag above this leaves dashboards and canaries behind."""
NEVER_SCORED = "no_passages|sampled_out"
"""Reasons for which an answer is left out on purpose."""


def scoring_alerts(timing: Timing) -> list[Alert]:
    """Every alert on scoring."""
    return [_silent(timing), _saturated(timing), _late(timing), _losing(timing)]


def to_score(by: str, back: str) -> str:
    """How many answers should have been scored: those that were offered, less what is left out on purpose."""
    offered = f"sum by ({by}) (increase(fg_scoring_offered_total[{back}]))"
    left_out = f'sum by ({by}) (increase(fg_scoring_dropped_total{{reason=~"{NEVER_SCORED}"}}[{back}]))'
    return f"{offered}\n- ({left_out} or 0 * {offered})"


def _silent(timing: Timing) -> Alert:
    """By instance: the others' scores must not hide one that is silent. A gauge of 0, after a restart, is long ago."""
    back = timing.window(SILENCE)
    return Alert(
        name="FgctlScoringSilent",
        severity="page",
        component="scoring",
        expr=f"""
        (
        {to_score("job, instance", back)}
        ) >= {timing.count(3)}
        and on (job, instance)
        time() - max by (job, instance) (fg_last_score_timestamp_seconds) > {timing.seconds(SILENCE):g}
        """,
        lasting=5 * MINUTE,
        summary="{{ $labels.instance }} scores nothing",
        description=(
            '{{ $labels.instance }} gave {{ $value | printf "%.0f" }} answers that were to be scored in the last ten '
            "minutes, and has scored none. Error rates stand still: they say nothing, good or bad."
        ),
        dashboard="fgctl-scoring",
    )


def _saturated(timing: Timing) -> Alert:
    return Alert(
        name="FgctlScoringQueueSaturated",
        severity="ticket",
        component="scoring",
        expr=f"""
        avg_over_time(fg_scoring_queue_depth[{timing.window(5 * MINUTE)}]) / fg_scoring_queue_capacity > 0.8
        """,
        lasting=5 * MINUTE,
        summary="The scoring queue of {{ $labels.instance }} is full",
        description=(
            "For ten minutes {{ $value | humanizePercentage }} of the places in the scoring queue of "
            "{{ $labels.instance }} were taken. What finds no place is not scored; replies are not delayed."
        ),
        dashboard="fgctl-scoring",
    )


def _late(timing: Timing) -> Alert:
    back = timing.window(5 * MINUTE)
    return Alert(
        name="FgctlScoringLag",
        severity="ticket",
        component="scoring",
        expr=f"""
        histogram_quantile(0.95, sum by (le) (rate(fg_scoring_lag_seconds_bucket[{back}]))) > {LATE_SECONDS}
        and
        sum(increase(fg_scoring_lag_seconds_count[{back}])) >= {timing.count(20)}
        """,
        lasting=10 * MINUTE,
        summary="Scores come {{ $value | humanizeDuration }} after their answers",
        description=(
            "One answer in twenty waits {{ $value | humanizeDuration }} or longer for its scores. Error rates and "
            "canaries are behind what is answered now."
        ),
        dashboard="fgctl-scoring",
    )


def _losing(timing: Timing) -> Alert:
    back = timing.window(30 * MINUTE)
    return Alert(
        name="FgctlScoringLosesAnswers",
        severity="ticket",
        component="scoring",
        expr=f"""
        sum by (profile) (increase(fg_scoring_dropped_total{{reason!~"{NEVER_SCORED}"}}[{back}]))
        / (
        {to_score("profile", back)}
          >= {timing.count(50)}
        ) > 0.05
        """,
        lasting=10 * MINUTE,
        summary="{{ $value | humanizePercentage }} of the answers of {{ $labels.profile }} to be scored are lost",
        description=(
            "In the last half hour scoring dropped {{ $value | humanizePercentage }} of the answers of "
            "{{ $labels.profile }} that were in its sample. Their errors are in no rate."
        ),
        dashboard="fgctl-scoring",
        variables=("profile",),
    )
