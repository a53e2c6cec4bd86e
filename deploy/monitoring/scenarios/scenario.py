"""A scenario: series minute by minute, and what the rules must make of them. Times are minutes from its start."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deploy.monitoring.dashboards.panel_queries import panel_queries
from deploy.monitoring.rule_groups import RUNBOOK

PRODUCTION: Mapping[str, str] = {"namespace": "production", "job": "fgctl"}
STAGING: Mapping[str, str] = {"namespace": "staging", "job": "fgctl"}
"""Two services in one Prometheus."""
RESTART = "restart"
"""Among the phases of a counter: it begins at zero again."""
Labels = Mapping[str, str]


class OneLine(dict[str, Any]):
    """A mapping that YAML writes on one line."""


@dataclass(frozen=True)
class Gone:
    """Among the phases of a series: minutes in which it does not exist."""

    minutes: int


@dataclass(frozen=True)
class Notification:
    """A firing alert as a person is notified of it."""

    alertname: str
    labels: Labels
    at: int
    summary: str
    description: str
    dashboard: str


@dataclass(frozen=True)
class Scenario:
    """What the service exports, and which alerts and samples must follow."""

    name: str
    series: Mapping[str, str]
    """By name with labels, the values as promtool reads them."""
    firing: Mapping[int, Sequence[Labels]]
    """The alerts that must fire at these minutes, and no others: `alertname` and every label."""
    samples: Sequence[tuple[int, str, Mapping[str, float]]] = ()
    """(minute, expression, its samples by their labels). Those with labels, but no namespace, are of production."""
    panels: Sequence[tuple[int, str, Mapping[str, float]]] = ()
    """(minute, query of a dashboard's panel, its samples by exactly their labels)."""
    notifications: Sequence[Notification] = field(default_factory=tuple)

    def as_yaml(self) -> dict[str, Any]:
        """The test as promtool reads it."""
        queries = [
            _query(minute, 'ALERTS{alertstate="firing"}', {series("ALERTS", **alert): 1 for alert in alerts})
            for minute, alerts in self.firing.items()
        ]
        queries += [
            _query(minute, expression, {_of_service(labels): value for labels, value in samples.items()})
            for minute, expression, samples in self.samples
        ]
        queries += [_query(*panel) for panel in self.panels]
        test: dict[str, Any] = {
            "name": self.name,
            "interval": "1m",
            "input_series": [OneLine(series=name, values=values) for name, values in self.series.items()],
            "promql_expr_test": queries,
        }
        return test | (
            {"alert_rule_test": [_alert_test(expected) for expected in self.notifications]}
            if self.notifications
            else {}
        )


def firing(alertname: str, severity: str, component: str, **labels: str) -> Labels:
    """A firing alert's labels: of the service in production, unless `labels` say otherwise. Empty ones are left out."""
    kind = {"alertname": alertname, "alertstate": "firing", "severity": severity, "component": component}
    return {name: value for name, value in (kind | {**PRODUCTION} | labels).items() if value}


def shown(dashboard: str, panel: str, service: Labels = PRODUCTION, column: int = 0) -> str:
    """The query of a dashboard's panel, or of one of its columns, for a service."""
    queries = panel_queries(**service)
    return [query.expression for query in queries if (query.dashboard, query.panel) == (dashboard, panel)][column]


def series(name: str, **labels: str) -> str:
    """A series: its name with its labels."""
    matchers = ", ".join(f'{label}="{value}"' for label, value in labels.items())
    return f"{name}{{{matchers}}}" if matchers else name


def counter(*phases: tuple[int, float] | str | Gone) -> str:
    """A counter from zero, in phases of (minutes, increase per minute)."""
    value, parts = 0.0, ["0"]
    for phase in phases:
        if isinstance(phase, Gone):
            parts.append(f"_x{phase.minutes}")
        elif isinstance(phase, str):
            value = 0.0
        else:
            minutes, rate = phase
            parts.append(f"{value + rate:.10g}+{rate:.10g}x{minutes - 1}")
            value += minutes * rate
    return " ".join(parts)


def gauge(*phases: tuple[int, float] | Gone) -> str:
    """A gauge, in phases of (minutes, value). The first value is also that of minute 0."""
    parts = [f"{phases[0][1]:.10g}"] if not isinstance(phases[0], Gone) else ["_"]
    for phase in phases:
        if isinstance(phase, Gone):
            parts.append(f"_x{phase.minutes}")
        else:
            parts.append(f"{phase[1]:.10g}+0x{phase[0] - 1}")
    return " ".join(parts)


def _query(minute: int, expr: str, samples: Mapping[str, float]) -> dict[str, Any]:
    expected = [OneLine(labels=labels, value=value) for labels, value in samples.items()]
    return {"expr": expr, "eval_time": f"{minute}m", "exp_samples": expected}


def _of_service(labels: str) -> str:
    if labels == "{}" or "namespace=" in labels:
        return labels
    name, matchers = labels.removesuffix("}").split("{")
    service = ", ".join(f'{label}="{value}"' for label, value in PRODUCTION.items())
    return f"{name}{{{service}, {matchers}}}"


def _alert_test(expected: Notification) -> dict[str, Any]:
    annotations = {
        "summary": expected.summary,
        "description": expected.description,
        "runbook_url": f"{RUNBOOK}#{expected.alertname.lower()}",
        "dashboard": expected.dashboard,
    }
    alert = {"exp_labels": dict(expected.labels), "exp_annotations": annotations}
    return {"eval_time": f"{expected.at}m", "alertname": expected.alertname, "exp_alerts": [alert]}
