"""Every generated file: its path in the repository, and its text."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from deploy.monitoring import dashboards
from deploy.monitoring.alerts import groups as alerts
from deploy.monitoring.kubernetes import prometheus_rule
from deploy.monitoring.lookback_windows import Timing
from deploy.monitoring.recording import series as rules
from deploy.monitoring.rule_groups import Group
from deploy.monitoring.scenarios import test_files
from deploy.monitoring.scenarios.scenario import Line

ROOT = Path(__file__).parents[2]
PROMETHEUS = Path("deploy/prometheus")
KUBERNETES = Path("deploy/kubernetes/monitoring")
_HEADER = "# Written by `make monitoring` from deploy/monitoring: change that instead.\n"


class _Dumper(yaml.SafeDumper):
    """Expressions over several lines stay that, and lists are indented."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


def _line(dumper: _Dumper, line: Line) -> yaml.MappingNode:
    return dumper.represent_mapping("tag:yaml.org,2002:map", line, flow_style=True)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(Line, _line)


def as_yaml(content: Mapping[str, Any]) -> str:
    """A file's text."""
    dumped: str = yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=1000, allow_unicode=True)
    return _HEADER + dumped


def rule_files(timing: Timing | None = None) -> dict[str, str]:
    """rules.yml and alerts.yml by name, with times of their own where a test wants hours to pass in seconds."""
    timing = timing or Timing()
    return {
        "rules.yml": _groups_file(rules.groups(timing), timing),
        "alerts.yml": _groups_file(alerts.groups(timing), timing),
    }


def _groups_file(groups: list[Group], timing: Timing) -> str:
    return as_yaml({"groups": [group.as_yaml(timing) for group in groups]})


def _prometheus() -> dict[Path, str]:
    tests = {f"tests/{name}.yml": as_yaml(content) for name, content in test_files().items()}
    return {PROMETHEUS / name: text for name, text in (rule_files() | tests).items()}


def _kubernetes() -> dict[Path, str]:
    timing = Timing()
    groups = [group.as_yaml(timing) for group in (*rules.groups(timing), *alerts.groups(timing))]
    return {KUBERNETES / "prometheusrule.yaml": as_yaml(prometheus_rule(groups))}


PRODUCERS: tuple[Callable[[], dict[Path, str]], ...] = (_prometheus, _kubernetes, dashboards.generated)
"""Each gives some of the files."""


def generated() -> dict[Path, str]:
    """Every generated file by its path from the repository's root."""
    return {path: text for produce in PRODUCERS for path, text in produce().items()}
