"""docs/metrics.md has every metric that the service exports, each in one table."""

import pytest

from deploy.monitoring.metric_tables import with_metric_tables
from deploy.monitoring.service_metrics import ServiceMetric, service_metrics
from service.metrics.metrics import Metrics


def test_every_metric_of_the_service_is_in_one_section():
    families = {
        family.name: family for family in Metrics().registry.collect() if family.name.startswith(("fg_", "vllm:"))
    }
    documented = [metric for metrics in service_metrics().values() for metric in metrics]
    names = [metric.name.removesuffix("_total") for metric in documented]
    assert families.keys() - set(names) == set(), "add what declares them to SECTIONS in service_metrics.py"
    assert sorted(names) == sorted(families)
    assert all(metric.type == families[name].type for metric, name in zip(documented, names, strict=True))


def test_every_help_text_is_sentences_in_one_table_cell():
    for metrics in service_metrics().values():
        for metric in metrics:
            assert metric.help.endswith("."), metric.name
            assert not {"|", "\n"} & set(metric.help), metric.name


def test_series_of_a_histogram_have_their_labels():
    histogram = ServiceMetric("fg_seconds", "histogram", ("profile",), "Seconds.")
    assert histogram.series() == {
        "fg_seconds_bucket": {"profile", "le"},
        "fg_seconds_sum": {"profile"},
        "fg_seconds_count": {"profile"},
    }


def test_a_page_without_a_table_for_every_section_is_refused():
    with pytest.raises(ValueError, match="traffic"):
        with_metric_tables("<!-- metrics: quality -->\n<!-- end -->\n")
