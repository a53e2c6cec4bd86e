"""Alerts on scoring: it stops, falls behind or loses answers, or its scores do not reach other tools."""

from deploy.monitoring.lookback_windows import HOUR, MINUTE, Timing
from deploy.monitoring.rule_groups import SERVICE, Alert

SILENCE = 10 * MINUTE
LATE_SECONDS = 60
"""With a 95th percentile of the lag above this, dashboards and canaries are out of date."""
INTENDED_DROPS = "no_passages|sampled_out"
"""The reasons for which an answer is not scored on purpose."""


def scoring_alerts(timing: Timing) -> list[Alert]:
    """Every alert on scoring."""
    return [_silent(timing), _saturated(timing), _late(timing), _losing(timing), _undelivered(timing)]


def answers_to_score(by: str, back: str) -> str:
    """The number of answers that should have been scored, by service and `by`: offered, less dropped on purpose."""
    by = f"{SERVICE}, {by}"
    offered = f"sum by ({by}) (increase(fg_scoring_offered_total[{back}]))"
    dropped = f'sum by ({by}) (increase(fg_scoring_dropped_total{{reason=~"{INTENDED_DROPS}"}}[{back}]))'
    return f"{offered}\n- ({dropped} or 0 * {offered})"


def _silent(timing: Timing) -> Alert:
    """By instance, so that others do not hide a silent one. A gauge of 0, after a restart, counts as long ago."""
    back = timing.window(SILENCE)
    return Alert(
        name="FgctlScoringSilent",
        severity="page",
        component="scoring",
        expr=f"""
        (
        {answers_to_score("instance", back)}
        ) >= {timing.count(3)}
        and on ({SERVICE}, instance)
        time() - max by ({SERVICE}, instance) (fg_last_score_timestamp_seconds) > {timing.seconds(SILENCE):g}
        """,
        hold_seconds=5 * MINUTE,
        summary="{{ $labels.instance }} scores no answers",
        description=(
            'In the last ten minutes {{ $labels.instance }} gave {{ $value | printf "%.0f" }} answers that should be '
            "scored, and scored none. Its error ratios are out of date, and quality alerts cannot fire. See why "
            "answers are dropped on the dashboard, then read the log."
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
        hold_seconds=5 * MINUTE,
        summary="The scoring queue of {{ $labels.instance }} is {{ $value | humanizePercentage }} full",
        description=(
            "For ten minutes the scoring queue of {{ $labels.instance }} has been {{ $value | humanizePercentage }} "
            "full. Answers that do not fit are not scored; replies are not delayed. Lower FGCTL_SCORING_SHARE, or add "
            "scoring processes or instances."
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
        histogram_quantile(0.95, sum by ({SERVICE}, le) (rate(fg_scoring_lag_seconds_bucket[{back}]))) > {LATE_SECONDS}
        and
        sum by ({SERVICE}) (increase(fg_scoring_lag_seconds_count[{back}])) >= {timing.count(20)}
        """,
        hold_seconds=10 * MINUTE,
        summary="Scores arrive {{ $value | humanizeDuration }} after their answers",
        description=(
            "One answer in twenty waits {{ $value | humanizeDuration }} or longer for its scores. Error ratios and "
            "canary verdicts are late by as much. Lower FGCTL_SCORING_SHARE, or add scoring processes or instances."
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
        sum by ({SERVICE}, profile) (increase(fg_scoring_dropped_total{{reason!~"{INTENDED_DROPS}"}}[{back}]))
        / (
        {answers_to_score("profile", back)}
          >= {timing.count(50)}
        ) > 0.05
        """,
        hold_seconds=10 * MINUTE,
        summary="Scoring loses {{ $value | humanizePercentage }} of the answers of {{ $labels.profile }}",
        description=(
            "In the last half hour scoring lost {{ $value | humanizePercentage }} of the answers of "
            "{{ $labels.profile }} that should be scored. Their errors are missing from the error ratios. See the "
            "reasons on the dashboard."
        ),
        dashboard="fgctl-scoring",
        dashboard_variables=("profile",),
    )


def _undelivered(timing: Timing) -> Alert:
    """Fires at the first loss: scores wait for a sink that is away, so a loss means that it is away for long."""
    return Alert(
        name="FgctlSinkLost",
        severity="ticket",
        component="scoring",
        expr=f"sum by ({SERVICE}, instance, sink, reason) (increase(fg_sink_lost_total[{timing.window(HOUR)}])) > 0",
        hold_seconds=0,
        summary="Scores of {{ $labels.instance }} do not reach {{ $labels.sink }} ({{ $labels.reason }})",
        description=(
            'In the last hour the scores of {{ $value | printf "%.0f" }} answers of {{ $labels.instance }} did not '
            "reach {{ $labels.sink }} (reason: {{ $labels.reason }}). Replies and metrics are not affected. The log "
            "says why."
        ),
        dashboard="fgctl-scoring",
    )
