"""Every alert, in groups by what is ill."""

from deploy.monitoring.alerts.feedback import feedback_alerts
from deploy.monitoring.alerts.quality import quality_alerts
from deploy.monitoring.alerts.scoring import scoring_alerts
from deploy.monitoring.alerts.serving import serving_alerts
from deploy.monitoring.lookback_windows import Timing
from deploy.monitoring.rule_groups import Alert, Group


def alerts(timing: Timing) -> list[Alert]:
    """Every alert. Several may have one name: a threshold for each budget."""
    return [alert for group in groups(timing) for alert in group.rules if isinstance(alert, Alert)]


def groups(timing: Timing) -> list[Group]:
    """The groups of alerts.yml."""
    return [
        Group("fgctl-alerts-quality", 30, quality_alerts(timing)),
        Group("fgctl-alerts-scoring", 30, scoring_alerts(timing)),
        Group("fgctl-alerts-feedback", 30, feedback_alerts(timing)),
        Group("fgctl-alerts-serving", 15, serving_alerts(timing)),
    ]
