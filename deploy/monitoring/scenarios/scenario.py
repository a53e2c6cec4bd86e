"""A scenario: series by the minute, and what is expected of the rules. Times are minutes from its start."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deploy.monitoring.rule_groups import RUNBOOK

RESTART = "restart"
"""Among a counter's phases: it begins at zero again."""
Labels = Mapping[str, str]


class Line(dict[str, Any]):
    """What a YAML file shows on one line."""


@dataclass(frozen=True)
class Gone:
    """Among a series' phases: minutes in which it is not there."""

    minutes: int


@dataclass(frozen=True)
class Expected:
    """An alert that fires, as a person is told of it."""

    alertname: str
    labels: Labels
    at: int
    summary: str
    description: str
    dashboard: str


@dataclass(frozen=True)
class Scenario:
    """What the service exports, and what follows."""

    name: str
    series: Mapping[str, str]
    """By the name with labels, values as promtool reads them."""
    firing: Mapping[int, Sequence[Labels]]
    """At each of these minutes exactly these alerts fire: `alertname` and every label."""
    samples: Sequence[tuple[int, str, Mapping[str, float]]] = ()
    """(minute, expression, its samples by their labels)."""
    told: Sequence[Expected] = field(default_factory=tuple)

    def as_yaml(self) -> dict[str, Any]:
        """The test as promtool reads it."""
        queries = [
            _query(minute, 'ALERTS{alertstate="firing"}', {_labels("ALERTS", one): 1 for one in alerts})
            for minute, alerts in self.firing.items()
        ]
        queries += [_query(*sample) for sample in self.samples]
        test: dict[str, Any] = {
            "name": self.name,
            "interval": "1m",
            "input_series": [Line(series=name, values=values) for name, values in self.series.items()],
            "promql_expr_test": queries,
        }
        return test | ({"alert_rule_test": [_told(one) for one in self.told]} if self.told else {})


def firing(alertname: str, severity: str, component: str, **labels: str) -> Labels:
    """A firing alert's labels."""
    return {"alertname": alertname, "alertstate": "firing", "severity": severity, "component": component, **labels}


def series(name: str, **labels: str) -> str:
    """A series' name with its labels."""
    return _labels(name, labels)


def counter(*phases: tuple[int, float] | str | Gone) -> str:
    """A counter from zero: phases of (minutes, increase a minute)."""
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
    """A gauge: phases of (minutes, value). The first value is also that of minute 0."""
    parts = [f"{phases[0][1]:.10g}"] if not isinstance(phases[0], Gone) else ["_"]
    for phase in phases:
        if isinstance(phase, Gone):
            parts.append(f"_x{phase.minutes}")
        else:
            parts.append(f"{phase[1]:.10g}+0x{phase[0] - 1}")
    return " ".join(parts)


def _labels(name: str, labels: Labels) -> str:
    inside = ", ".join(f'{label}="{value}"' for label, value in labels.items())
    return f"{name}{{{inside}}}" if inside else name


def _query(minute: int, expr: str, samples: Mapping[str, float]) -> dict[str, Any]:
    listed = [Line(labels=labels, value=value) for labels, value in samples.items()]
    return {"expr": expr, "eval_time": f"{minute}m", "exp_samples": listed}


def _told(one: Expected) -> dict[str, Any]:
    annotations = {
        "summary": one.summary,
        "description": one.description,
        "runbook_url": f"{RUNBOOK}#{one.alertname.lower()}",
        "dashboard": one.dashboard,
    }
    alert = {"exp_labels": dict(one.labels), "exp_annotations": annotations}
    return {"eval_time": f"{one.at}m", "alertname": one.alertname, "exp_alerts": [alert]}
