"""Alerts on feedback: whether the store keeps what is answered and scored."""

from deploy.monitoring.lookback_windows import HOUR, Timing
from deploy.monitoring.rule_groups import Alert


def feedback_alerts(timing: Timing) -> list[Alert]:
    """Every alert on feedback. Instances without a store have none of the series."""
    return [_lost(timing)]


def _lost(timing: Timing) -> Alert:
    """At the first loss: answers wait for a store that fails, so that one is lost only when that has lasted."""
    return Alert(
        name="FgctlFeedbackLost",
        severity="ticket",
        component="feedback",
        expr=f"sum by (job, instance, reason) (increase(fg_feedback_lost_total[{timing.window(HOUR)}])) > 0",
        lasting=0,
        summary="{{ $labels.instance }} loses answers on their way to the feedback store ({{ $labels.reason }})",
        description=(
            'In the last hour {{ $value | printf "%.0f" }} answers or scores of {{ $labels.instance }} did not reach '
            "the feedback store. Nobody can annotate them; replies are not touched."
        ),
        dashboard="fgctl-scoring",
    )
