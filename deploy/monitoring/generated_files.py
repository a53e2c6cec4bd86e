"""Every generated file: its path in the repository and its text."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from deploy.monitoring.alerts.alert_groups import alert_groups
from deploy.monitoring.dashboards.dashboard_files import dashboard_files
from deploy.monitoring.kubernetes import prometheus_rule
from deploy.monitoring.lookback_windows import Timing
from deploy.monitoring.metric_tables import with_metric_tables
from deploy.monitoring.recording.recording_groups import recording_groups
from deploy.monitoring.rule_groups import Group
from deploy.monitoring.scenarios.scenario import OneLine
from deploy.monitoring.scenarios.test_files import promtool_tests

ROOT = Path(__file__).parents[2]
PROMETHEUS = Path("deploy/prometheus")
KUBERNETES = Path("deploy/kubernetes/monitoring")
METRICS_PAGE = Path("docs/metrics.md")
_HEADER = "# Written by `make monitoring` from deploy/monitoring: change that instead.\n"


class _Dumper(yaml.SafeDumper):
    """Keeps expressions on several lines as they are, and indents lists."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


def _one_line(dumper: _Dumper, mapping: OneLine) -> yaml.MappingNode:
    return dumper.represent_mapping("tag:yaml.org,2002:map", mapping, flow_style=True)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(OneLine, _one_line)


def as_yaml(content: Mapping[str, Any]) -> str:
    """A generated YAML file's text."""
    dumped: str = yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=1000, allow_unicode=True)
    return _HEADER + dumped


def rule_files(timing: Timing | None = None) -> dict[str, str]:
    """The text of rules.yml and alerts.yml, by name; a test may pass a timing in which hours take seconds."""
    timing = timing or Timing()
    return {
        "rules.yml": _rules_file(recording_groups(timing), timing),
        "alerts.yml": _rules_file(alert_groups(timing), timing),
    }


def _rules_file(groups: list[Group], timing: Timing) -> str:
    return as_yaml({"groups": [group.as_yaml(timing) for group in groups]})


def _prometheus_files() -> dict[Path, str]:
    tests = {f"tests/{name}.yml": as_yaml(content) for name, content in promtool_tests().items()}
    return {PROMETHEUS / name: text for name, text in (rule_files() | tests).items()}


def _kubernetes_files() -> dict[Path, str]:
    timing = Timing()
    groups = [group.as_yaml(timing) for group in (*recording_groups(timing), *alert_groups(timing))]
    return {KUBERNETES / "prometheusrule.yaml": as_yaml(prometheus_rule(groups))}


def _documentation() -> dict[Path, str]:
    return {METRICS_PAGE: with_metric_tables((ROOT / METRICS_PAGE).read_text(encoding="utf-8"))}


PRODUCERS: tuple[Callable[[], dict[Path, str]], ...] = (
    _prometheus_files,
    _kubernetes_files,
    dashboard_files,
    _documentation,
)
"""Each produces some of the files."""


def generated_files() -> dict[Path, str]:
    """The text of every generated file, by its path from the repository's root."""
    return {path: text for produce in PRODUCERS for path, text in produce().items()}
