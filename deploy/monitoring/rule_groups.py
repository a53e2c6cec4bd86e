"""What a rules file is made of: recorded series and alerts, in groups that are evaluated together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import dedent
from typing import Any, Literal

from deploy.monitoring.budgets import Severity
from deploy.monitoring.lookback_windows import Timing

DOCUMENTATION = "https://fgctl.example/docs"
"""Where links in alerts and dashboards lead: set it to where you publish `docs/`, and run `make monitoring`."""
RUNBOOK = f"{DOCUMENTATION}/runbook.md"
JOB = "fgctl"
"""The `job` label of the service's targets."""

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
        rule: dict[str, Any] = {"record": self.name, "expr": tidy(self.expr)}
        return rule | ({"labels": dict(self.labels)} if self.labels else {})


@dataclass(frozen=True)
class Alert:
    """Something that somebody is to be told."""

    name: str
    severity: Severity
    """`page` wakes somebody; `ticket` waits for the morning."""
    component: Component
    """What is ill; alertmanager.yml says what silences what."""
    expr: str
    lasting: float
    """Seconds for which it must be so."""
    summary: str
    description: str
    dashboard: Dashboard
    variables: Sequence[str] = ()
    """Labels that the dashboard is opened with, as its variables of the same names."""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def anchor(self) -> str:
        """Of its entry in the runbook."""
        return self.name.lower()

    def as_yaml(self, timing: Timing) -> dict[str, Any]:
        """The rule as Prometheus reads it."""
        chosen = "&".join(f"var-{name}={{{{ $labels.{name} }}}}" for name in self.variables)
        rule: dict[str, Any] = {"alert": self.name, "expr": tidy(self.expr)}
        if self.lasting:
            rule["for"] = timing.pause(self.lasting)
        return rule | {
            "labels": {"severity": self.severity, "component": self.component, **self.labels},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook_url": f"{RUNBOOK}#{self.anchor}",
                "dashboard": f"/d/{self.dashboard}" + (f"?{chosen}" if chosen else ""),
            },
        }


@dataclass(frozen=True)
class Group:
    """Rules that are evaluated one after the other, so that each sees the ones before it."""

    name: str
    every: float
    """Seconds between evaluations."""
    rules: Sequence[Record] | Sequence[Alert]

    def as_yaml(self, timing: Timing) -> dict[str, Any]:
        """The group as Prometheus reads it."""
        rules = [rule.as_yaml() if isinstance(rule, Record) else rule.as_yaml(timing) for rule in self.rules]
        return {"name": self.name, "interval": timing.pause(self.every), "rules": rules}


def tidy(expr: str) -> str:
    """An expression without the indentation of the Python around it."""
    return dedent(expr).strip()
