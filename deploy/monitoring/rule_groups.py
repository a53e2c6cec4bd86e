"""What a rules file consists of: recorded series and alerts, in groups that are evaluated together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import dedent
from typing import Any, Literal

from deploy.monitoring.budgets import Severity
from deploy.monitoring.lookback_windows import Timing

DOCUMENTATION = "https://fgctl.example/docs"
"""Where links in alerts and dashboards lead: set it to where you publish `docs/`, then run `make monitoring`."""
RUNBOOK = f"{DOCUMENTATION}/runbook.md"
JOB = "fgctl"
"""The `job` label of the service's targets."""
SERVICE = "namespace, job"
"""The labels of a service. Rules keep them, so that staging and production in one Prometheus are never averaged."""

Component = Literal["engine", "serving", "scoring", "quality", "policies", "feedback"]
Dashboard = Literal["fgctl-quality", "fgctl-policies", "fgctl-serving", "fgctl-scoring"]


@dataclass(frozen=True)
class Record:
    """A recorded series."""

    name: str
    expr: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def as_yaml(self) -> dict[str, Any]:
        """The rule as Prometheus reads it."""
        rule: dict[str, Any] = {"record": self.name, "expr": dedented(self.expr)}
        return rule | ({"labels": dict(self.labels)} if self.labels else {})


@dataclass(frozen=True)
class Alert:
    """A condition that somebody is notified of. docs/runbook.md has an entry of the same name."""

    name: str
    severity: Severity
    """`page` wakes somebody; `ticket` waits for the morning."""
    component: Component
    """What is affected; alertmanager.yml silences alerts by it."""
    expr: str
    hold_seconds: float
    """How long the condition must hold before the alert fires."""
    summary: str
    description: str
    dashboard: Dashboard
    dashboard_variables: Sequence[str] = ()
    """Labels whose values are selected, besides the service's, when the dashboard is opened."""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def anchor(self) -> str:
        """The anchor of its entry in the runbook."""
        return self.name.lower()

    def as_yaml(self, timing: Timing) -> dict[str, Any]:
        """The rule as Prometheus reads it."""
        variables = (*SERVICE.split(", "), *self.dashboard_variables)
        selected = "&".join(f"var-{name}={{{{ $labels.{name} }}}}" for name in variables)
        rule: dict[str, Any] = {"alert": self.name, "expr": dedented(self.expr)}
        if self.hold_seconds:
            rule["for"] = timing.duration(self.hold_seconds)
        return rule | {
            "labels": {"severity": self.severity, "component": self.component, **self.labels},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook_url": f"{RUNBOOK}#{self.anchor}",
                "dashboard": f"/d/{self.dashboard}?{selected}",
            },
        }


@dataclass(frozen=True)
class Group:
    """Rules that are evaluated in order, so that each sees the results of those before it."""

    name: str
    interval: float
    """Seconds between evaluations."""
    rules: Sequence[Record] | Sequence[Alert]

    def as_yaml(self, timing: Timing) -> dict[str, Any]:
        """The group as Prometheus reads it."""
        rules = [rule.as_yaml() if isinstance(rule, Record) else rule.as_yaml(timing) for rule in self.rules]
        return {"name": self.name, "interval": timing.duration(self.interval), "rules": rules}


def dedented(expr: str) -> str:
    """An expression without the indentation of the Python around it."""
    return dedent(expr).strip()
