"""Every alert, in the groups of alerts.yml."""

from deploy.monitoring.alerts.canary import canary_alerts
from deploy.monitoring.alerts.distribution_shift import shift_alerts
from deploy.monitoring.alerts.error_budgets import error_budget_alerts
from deploy.monitoring.alerts.feedback import feedback_alerts
from deploy.monitoring.alerts.scoring import scoring_alerts
from deploy.monitoring.alerts.serving import serving_alerts
from deploy.monitoring.lookback_windows import Timing
from deploy.monitoring.rule_groups import Alert, Group


def all_alerts(timing: Timing) -> list[Alert]:
    """Every alert. Alerts may share a name: one of them for each severity."""
    return [alert for group in alert_groups(timing) for alert in group.rules if isinstance(alert, Alert)]


def alert_groups(timing: Timing) -> list[Group]:
    """The groups of alerts.yml."""
    quality = [*error_budget_alerts(timing), *shift_alerts(timing), *canary_alerts()]
    return [
        Group("fgctl-alerts-quality", 30, quality),
        Group("fgctl-alerts-scoring", 30, scoring_alerts(timing)),
        Group("fgctl-alerts-feedback", 30, feedback_alerts(timing)),
        Group("fgctl-alerts-serving", 15, serving_alerts(timing)),
    ]
