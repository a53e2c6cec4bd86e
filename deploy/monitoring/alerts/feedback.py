"""Alerts on feedback: answers or scores do not reach the feedback store."""

from deploy.monitoring.lookback_windows import HOUR, Timing
from deploy.monitoring.rule_groups import SERVICE, Alert


def feedback_alerts(timing: Timing) -> list[Alert]:
    """Every alert on feedback. Instances without a store do not export the series."""
    return [_lost(timing)]


def _lost(timing: Timing) -> Alert:
    """Fires at the first loss: answers wait for a store that fails, so a loss means that it has failed for long."""
    return Alert(
        name="FgctlFeedbackLost",
        severity="ticket",
        component="feedback",
        expr=f"sum by ({SERVICE}, instance, reason) (increase(fg_feedback_lost_total[{timing.window(HOUR)}])) > 0",
        hold_seconds=0,
        summary="{{ $labels.instance }} loses answers before they reach the feedback store ({{ $labels.reason }})",
        description=(
            'In the last hour {{ $value | printf "%.0f" }} answers or scores of {{ $labels.instance }} did not reach '
            "the feedback store (reason: {{ $labels.reason }}). They cannot be annotated; replies are not affected. "
            "The log says why."
        ),
        dashboard="fgctl-scoring",
    )
