"""The dashboards query only metrics that exist, by labels that they have."""

import re

import pytest

from deploy.monitoring.dashboards.dashboard_files import dashboard_files
from deploy.monitoring.dashboards.panel_queries import panel_queries, queries_in
from deploy.monitoring.lookback_windows import Timing
from deploy.monitoring.recording.recording_groups import recording_groups
from deploy.monitoring.service_metrics import service_metrics

SERVICE = {"namespace", "job"}
"""Labels of targets, which every series has in Prometheus."""
OTHER_SERIES = {
    "ALERTS": {"alertname", "alertstate"},
    "up": set(),
    "process_resident_memory_bytes": set(),
    "process_open_fds": set(),
    "process_max_fds": set(),
}
"""Series of Prometheus itself and of its client library."""

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


def exported_series():
    """The labels of every series that the service exports, by name."""
    metrics = [metric for section in service_metrics().values() for metric in section]
    return {name: labels for metric in metrics for name, labels in metric.series().items()}


def recorded_series():
    return {rule.name: None for group in recording_groups(Timing()) for rule in group.rules}


DEFINED = exported_series() | recorded_series() | OTHER_SERIES


def test_names_are_read_out_of_expressions():
    expression = (
        'sum by (le, profile) (rate(fg_a_bucket{profile=~"b|c", d!="e"}[5m])) / on (profile) group_left () '
        'fg:f:1h{g="h"} > bool 1e-3 or vector(0) and (i:j - k) * 100'
    )
    assert names(expression) == {"fg_a_bucket", "fg:f:1h", "i:j", "k"}


@pytest.mark.parametrize("query", panel_queries(), ids=lambda query: f"{query.dashboard}: {query.panel}")
def test_queries_name_only_what_is_defined(query):
    assert names(query.expression)
    assert names(query.expression) <= DEFINED.keys()


@pytest.mark.parametrize("query", panel_queries(), ids=lambda query: f"{query.dashboard}: {query.panel}")
def test_queries_select_by_labels_that_the_metric_has(query):
    for name, matchers in _SELECTOR.findall(query.expression):
        used = set(re.findall(r"(\w+) *(?:=~|!~|!=|=)", _TEXT.sub('""', matchers)))
        if (labels := DEFINED[name]) is not None:
            assert used - SERVICE <= labels, name


@pytest.mark.parametrize("query", panel_queries(), ids=lambda query: f"{query.dashboard}: {query.panel}")
def test_queries_select_one_service_in_every_series(query):
    if query.panel == "variable namespace":
        return
    everywhere = len(_NAME.findall(_BRACES.sub("", _LABELS.sub("", _TEXT.sub('""', query.expression)))))
    everywhere -= len(re.findall(r"\b(?:and|or|unless|bool|offset)\b", _BRACES.sub("", query.expression)))
    selectors = _SELECTOR.findall(query.expression)
    assert len(selectors) == everywhere
    for name, matchers in selectors:
        if name == "ALERTS":  # that of a target that is gone has no namespace
            assert 'alertname=~"Fgctl.*"' in matchers
            assert ('namespace=~"|"' in matchers, 'job=~"fgctl|"' in matchers) == (True, True)
        else:
            service = 'namespace=""' if query.panel == "variable job" else 'namespace="", job="fgctl"'
            assert service in matchers, name


def test_queries_are_of_every_panel_annotation_and_variable():
    queries = panel_queries()
    assert {query.dashboard for query in queries} == {path.stem for path in dashboard_files()}
    panels = [query.panel for query in queries if query.dashboard == "fgctl-quality"]
    assert panels[-5:] == [
        "annotation Promotions", "variable namespace", "variable job", "variable profile", "variable policy",
    ]  # fmt: skip
    assert "Worst recent segments" in panels
    targets = sum(content.count('"refId"') for content in dashboard_files().values())
    assert len(queries) == targets + len(dashboard_files()), "every query but those of annotations has a refId"


def test_variables_select_everything_and_times_are_arguments():
    queries = panel_queries(rate_interval="4s", time_range="90s")
    assert not any("$" in query.expression for query in queries)
    assert any("[4s]" in query.expression for query in queries)
    assert any("[90s]" in query.expression for query in queries)
    assert any('profile=~".*"' in query.expression for query in queries)
    staging = panel_queries(namespace="staging", job="other")
    assert sum('namespace="staging", job="other"' in query.expression for query in staging) > 100


def test_an_unknown_variable_is_an_error():
    content = next(iter(dashboard_files().values())).replace("$profile", "$nobody")
    with pytest.raises(KeyError, match="nobody"):
        list(queries_in(content, "1m", "1h", {}))
