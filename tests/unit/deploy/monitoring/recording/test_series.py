"""What rules, alerts and the runbook name exists: metrics of the service, their labels, recorded series."""

import re
from pathlib import Path

import pytest

from deploy.monitoring.alerts import groups as alerts
from deploy.monitoring.lookback_windows import WINDOWS, Timing
from deploy.monitoring.recording import series as rules
from deploy.monitoring.rule_groups import Record
from service.metrics.metrics import Metrics

METRIC = re.compile(r"\bfg_[a-z_]+\b|\bprocess_[a-z_]+\b|\bup\b")
RECORDED = re.compile(r"\bfg:[a-z_]+(?::[a-z0-9_]+)?")
MATCHED = re.compile(r"\b((?:fg|process)_[a-z_]+)\{([^}]*)\}")
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
"""What dashboards rely on."""


def expressions():
    runbook = (Path(__file__).parents[5] / "docs/runbook.md").read_text()
    queries = re.findall(r"```promql\n(.*?)```", runbook, re.DOTALL)
    assert len(queries) > 5
    return queries + [rule.expr for group in (*rules.groups(TIMING), *alerts.groups(TIMING)) for rule in group.rules]


@pytest.fixture(scope="module")
def exported():
    """The labels of every metric the service exports, by name."""
    registry = Metrics().registry
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}
    names = {}
    for collector in list(registry._collector_to_names):
        for family in collector.collect():
            labels = set(getattr(collector, "_labelnames", ())) | ({"le"} if family.type == "histogram" else set())
            names |= {family.name + suffix: labels for suffix in suffixes.get(family.type, ("",))}
    assert "fg_requests_total" in names
    assert names["fg_generation_seconds_bucket"] == {"profile", "le"}
    return names


def test_every_metric_is_exported(exported):
    named = {name for expr in expressions() for name in METRIC.findall(expr)} - {"up"}
    assert "fg_segments_scored_total" in named
    assert named - exported.keys() == set()


def test_every_label_that_is_matched_is_a_label_of_the_metric(exported):
    matched = [one for expr in expressions() for one in MATCHED.findall(expr)]
    assert matched
    for metric, selector in matched:
        labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector)) - {"job", "instance"}
        assert labels <= exported[metric], metric


def test_every_recorded_series_that_is_read_is_recorded():
    recorded = {rule.name for group in rules.groups(TIMING) for rule in group.rules}
    read = {name for expr in expressions() for name in RECORDED.findall(expr)}
    assert read
    assert read - recorded == set()


def test_rules_read_what_their_group_has_recorded_before():
    for group in rules.groups(TIMING):
        own = {rule.name for rule in group.rules}
        before = set()
        for rule in group.rules:
            assert set(RECORDED.findall(rule.expr)) & own <= before, rule.name
            before.add(rule.name)


def test_the_series_that_dashboards_rely_on_are_recorded():
    recorded = {rule.name for group in rules.groups(TIMING) for rule in group.rules if isinstance(rule, Record)}
    assert recorded >= {name.format(window.name) for name in WINDOWED for window in WINDOWS}
    assert recorded >= {"fg:error_budget", "fg:canary_difference", "fg:canary_radius", "fg:canary_verdict"}


def test_groups_have_names_of_their_own():
    names = [group.name for group in (*rules.groups(TIMING), *alerts.groups(TIMING))]
    assert len(names) == len(set(names))
