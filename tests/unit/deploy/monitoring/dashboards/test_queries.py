"""What the dashboards ask: only of metrics that exist, and with their labels."""

import re

import pytest

from deploy.monitoring.dashboards import generated, queries
from deploy.monitoring.dashboards.queries import asked_by
from deploy.monitoring.lookback_windows import Timing
from deploy.monitoring.recording.series import groups
from service.metrics.metrics import Metrics

PROMETHEUS_OWN = {"ALERTS": {"alertname", "alertstate"}}
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",), "info": ("_info",)}

_TEXT = re.compile(r'"[^"]*"')
_LABELS = re.compile(r"\b(?:by|on|ignoring|group_left|group_right|without) *\([^)]*\)")
_BRACES = re.compile(r"\{[^}]*\}|\[[^]]*\]")
_NAME = re.compile(r"(?<![\w:.])[A-Za-z_:][\w:]*(?! *\()(?![\w:])")
_SELECTOR = re.compile(r"([A-Za-z_:][\w:]*)\{([^}]*)\}")
_OPERATORS = {"and", "or", "unless", "bool", "offset"}


def names(expression):
    """The series that an expression reads."""
    rest = _BRACES.sub("", _LABELS.sub("", _TEXT.sub('""', expression)))
    return set(_NAME.findall(rest)) - _OPERATORS


def service_metrics():
    """Every series' name that the service defines, and its labels where they are known."""
    registry = Metrics().registry
    defined = {f"{family.name}{suffix}": None for family in registry.collect() for suffix in SUFFIXES[family.type]}
    for name, collector in registry._names_to_collectors.items():
        if name in defined:
            labels = set(getattr(collector, "_labelnames", ()))
            defined[name] = labels | ({"le"} if name.endswith("_bucket") else set())
    return defined


def recorded_series():
    return {rule.name: None for group in groups(Timing()) for rule in group.rules}


DEFINED = service_metrics() | recorded_series() | PROMETHEUS_OWN


def test_names_are_read_out_of_expressions():
    expression = (
        'sum by (le, profile) (rate(fg_a_bucket{profile=~"b|c", d!="e"}[5m])) / on (profile) group_left () '
        'fg:f:1h{g="h"} > bool 1e-3 or vector(0) and (i:j - k) * 100'
    )
    assert names(expression) == {"fg_a_bucket", "fg:f:1h", "i:j", "k"}


@pytest.mark.parametrize("asked", queries(), ids=lambda asked: f"{asked.dashboard}: {asked.panel}")
def test_queries_name_only_what_is_defined(asked):
    assert names(asked.expression)
    assert names(asked.expression) <= DEFINED.keys()


@pytest.mark.parametrize("asked", queries(), ids=lambda asked: f"{asked.dashboard}: {asked.panel}")
def test_queries_select_by_labels_that_the_metric_has(asked):
    for name, matchers in _SELECTOR.findall(asked.expression):
        used = set(re.findall(r"(\w+) *(?:=~|!~|!=|=)", _TEXT.sub('""', matchers)))
        if (labels := DEFINED[name]) is not None:
            assert used <= labels, name


def test_queries_are_of_every_panel_annotation_and_variable():
    found = queries()
    assert {asked.dashboard for asked in found} == {path.stem for path in generated()}
    panels = [asked.panel for asked in found if asked.dashboard == "fgctl-quality"]
    assert panels[-3:] == ["annotation Promotions", "variable profile", "variable policy"]
    assert "Worst recent segments" in panels
    targets = sum(content.count('"refId"') for content in generated().values())
    assert len(found) == targets + len(generated()), "a reference for each query but the annotations'"


def test_variables_stand_for_everything_and_times_are_chosen():
    found = queries(rate_interval="4s", time_range="90s")
    assert not any("$" in asked.expression for asked in found)
    assert any("[4s]" in asked.expression for asked in found)
    assert any("[90s]" in asked.expression for asked in found)
    assert any('profile=~".*"' in asked.expression for asked in found)


def test_an_unknown_variable_is_an_error():
    content = generated()[next(iter(generated()))].replace("$profile", "$nobody")
    with pytest.raises(KeyError, match="nobody"):
        list(asked_by(content, "1m", "1h"))
