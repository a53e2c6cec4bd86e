"""Rules, alerts and the runbook query only metrics, labels and recorded series that exist."""

import re
from pathlib import Path

import pytest

from deploy.monitoring.alerts.alert_groups import alert_groups, all_alerts
from deploy.monitoring.lookback_windows import WINDOWS, Timing
from deploy.monitoring.recording.recording_groups import recording_groups
from deploy.monitoring.rule_groups import Record
from deploy.monitoring.service_metrics import service_metrics

METRIC = re.compile(r"\bfg_[a-z_]+\b|\bprocess_[a-z_]+\b|\bup\b")
RECORDED = re.compile(r"\bfg:[a-z_]+(?::[a-z0-9_]+)?")
MATCHED = re.compile(r"\b(fg_[a-z_]+)\{([^}]*)\}")
TIMING = Timing()
WINDOWED = [
    "fg:segments_scored:increase{}",
    "fg:segment_errors:increase{}",
    "fg:error_ratio:{}",
    "fg:error_ratio_corrected:{}",
    "fg:score_shift_psi:{}",
    "fg:score_shift_chance:{}",
    "fg:input_shift_psi:{}",
    "fg:input_shift_chance:{}",
    "fg:scoring_coverage:{}",
    "fg:scoring_busy_ratio:{}",
]
"""Series of every window that dashboards use."""


def expressions():
    runbook = (Path(__file__).parents[5] / "docs/runbook.md").read_text()
    queries = re.findall(r"```promql\n(.*?)```", runbook, re.DOTALL)
    assert len(queries) > 5
    return queries + [rule.expr for group in (*recording_groups(TIMING), *alert_groups(TIMING)) for rule in group.rules]


@pytest.fixture(scope="module")
def exported():
    """The labels of every series that the service exports, by name."""
    metrics = [metric for section in service_metrics().values() for metric in section]
    return {name: labels for metric in metrics for name, labels in metric.series().items()}


def test_every_metric_is_exported(exported):
    queried = {name for expr in expressions() for name in METRIC.findall(expr)} - {"up", "process_start_time_seconds"}
    assert "fg_segments_scored_total" in queried
    assert queried - exported.keys() == set()


def test_every_label_that_is_matched_is_a_label_of_the_metric(exported):
    selectors = [selector for expr in expressions() for selector in MATCHED.findall(expr)]
    assert selectors
    for metric, matchers in selectors:
        labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers)) - {"job", "instance"}
        assert labels <= exported[metric], metric


def test_every_recorded_series_that_is_read_is_recorded():
    recorded = {rule.name for group in recording_groups(TIMING) for rule in group.rules}
    read = {name for expr in expressions() for name in RECORDED.findall(expr)}
    assert read
    assert read - recorded == set()


def test_rules_read_what_their_group_has_recorded_before():
    for group in recording_groups(TIMING):
        own = {rule.name for rule in group.rules}
        before = set()
        for rule in group.rules:
            assert set(RECORDED.findall(rule.expr)) & own <= before, rule.name
            before.add(rule.name)


def test_the_series_that_dashboards_rely_on_are_recorded():
    recorded = {rule.name for group in recording_groups(TIMING) for rule in group.rules if isinstance(rule, Record)}
    assert recorded >= {name.format(window.name) for name in WINDOWED for window in WINDOWS}
    assert recorded >= {"fg:error_budget", "fg:canary_difference", "fg:canary_radius", "fg:canary_verdict"}


def test_groups_have_names_of_their_own():
    names = [group.name for group in (*recording_groups(TIMING), *alert_groups(TIMING))]
    assert len(names) == len(set(names))


AGGREGATION = re.compile(r"\b(?:sum|avg|max|min|count|topk)(?! by)\b *\(|\b(?:by|on) *\(([^)]*)\)")


@pytest.mark.parametrize(
    "rule", [rule for group in (*recording_groups(TIMING), *alert_groups(TIMING)) for rule in group.rules],
    ids=lambda rule: rule.name,
)  # fmt: skip
def test_rules_keep_the_service_apart(rule):
    """Staging and production in one Prometheus: whatever is summed or joined keeps both labels of the service."""
    for match in AGGREGATION.finditer(rule.expr):
        labels = [label.strip() for label in (match[1] or "").split(",")]
        assert labels[:2] == ["namespace", "job"], f"{match[0]} in {rule.expr}"


@pytest.mark.parametrize("alert", all_alerts(TIMING), ids=lambda alert: alert.name)
def test_alerts_are_named_after_the_product_and_look_up_figures_of_their_service(alert):
    assert alert.name.startswith("Fgctl")
    for selector in re.findall(r'printf "([^"]*)"', alert.summary + alert.description):
        if "{" in selector:
            assert "{namespace='%s', job='%s', " in selector
