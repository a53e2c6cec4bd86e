"""Panels of tables: tables, grouped bars, scatter plots. Their queries are joined by labels."""

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import barchart, table, xychart
from grafana_foundation_sdk.models.common import StackingMode
from grafana_foundation_sdk.models.dashboard import DataTransformerConfig, DynamicConfigValue, Panel
from grafana_foundation_sdk.models.xychart import SeriesMapping

from deploy.monitoring.dashboards.kit.panel_options import (
    COLOR_BY_SERIES,
    Thresholds,
    ValueNames,
    legend,
    panel_with_options,
    query_name,
    table_query,
    threshold_steps,
    tooltip,
)


@dataclass(frozen=True)
class Column:
    """One column of numbers: a query with one value for each combination of the table's labels."""

    name: str
    expr: str
    unit: str
    thresholds: Thresholds = ()


def label_table(
    title: str,
    description: str,
    labels: Sequence[str],
    *columns: Column,
    width: int = 24,
    height: int = 9,
    value_names: ValueNames | None = None,
    nothing: str = "",
) -> Panel:
    """A table with a row for each combination of `labels`. `value_names` replace values of labels."""
    panel = panel_with_options(table.Panel(), title, description, "short", (width, height), value_names=value_names)
    panel.targets([table_query(column.expr, i) for i, column in enumerate(columns)])
    panel.transformations(_joined(labels, columns))
    for column in columns:
        settings = [DynamicConfigValue("unit", column.unit)]
        if column.thresholds:
            settings.append(DynamicConfigValue("thresholds", threshold_steps(column.thresholds).build()))
            settings.append(DynamicConfigValue("custom.cellOptions", {"type": "color-text"}))
        panel.override_by_name(column.name, settings)
    if value_names:
        for label in labels:
            panel.override_by_name(label, [DynamicConfigValue("custom.cellOptions", {"type": "color-text"})])
    if nothing:
        panel.no_value(nothing)
    return panel.build()


def paired_bars(
    title: str, description: str, label: str, *columns: Column, unit: str, width: int = 8, height: int = 8
) -> Panel:
    """A group of bars for each value of a label: one bar for each column."""
    panel = panel_with_options(barchart.Panel(), title, description, unit, (width, height), colors=COLOR_BY_SERIES)
    panel.targets([table_query(column.expr, i) for i, column in enumerate(columns)])
    panel.transformations([*_joined([label], columns), DataTransformerConfig("sortBy", options=_ascending(label))])
    return panel.x_field(label).legend(legend()).tooltip(tooltip()).min(0).build()


def grouped_bars(
    title: str,
    description: str,
    expr: str,
    *,
    row: str,
    column: str,
    unit: str,
    width: int = 8,
    height: int = 8,
    stacked: bool = False,
) -> Panel:
    """A group of bars for each value of the label `row`: one bar for each value of the label `column`."""
    panel = panel_with_options(barchart.Panel(), title, description, unit, (width, height), colors=COLOR_BY_SERIES)
    panel.targets([table_query(expr, 0)]).transformations([_as_matrix(row, column)])
    panel.stacking(StackingMode.NORMAL if stacked else StackingMode.NONE)
    return panel.legend(legend()).tooltip(tooltip()).min(0).max(1).build()


def scatter(
    title: str,
    description: str,
    expr: str,
    *,
    point: str,
    axis: str,
    x: str,
    y: str,
    unit: str,
    width: int = 8,
    height: int = 8,
) -> Panel:
    """A point for each value of the label `point`: the values of `expr` where the label `axis` is `x` and `y`."""
    panel = panel_with_options(xychart.Panel(), title, description, unit, (width, height), colors=COLOR_BY_SERIES)
    panel.targets([table_query(expr, 0)]).transformations([_as_matrix(point, axis)])
    panel.mapping(SeriesMapping.MANUAL).series([_series(x, y)]).legend(legend()).tooltip(tooltip())
    panel.point_size(xychart.XychartFieldConfigPointSize().fixed(12)).min(0).max(1)
    for name in (x, y):
        panel.override_by_name(name, [DynamicConfigValue("custom.axisLabel", name)])
    return panel.build()


def _series(x: str, y: str) -> xychart.XYSeriesConfig:
    across = xychart.XychartXYSeriesConfigX().matcher(xychart.MatcherConfig().id("byName").options(x))
    up = xychart.XychartXYSeriesConfigY().matcher(xychart.MatcherConfig().id("byName").options(y))
    # Without a frame Grafana draws nothing; after the transformation there is exactly one.
    frame = xychart.XychartXYSeriesConfigFrame().matcher(xychart.MatcherConfig().id("byIndex").options(0))
    return xychart.XYSeriesConfig().frame(frame).x(across).y(up)


def _joined(labels: Sequence[str], columns: Sequence[Column]) -> list[DataTransformerConfig]:
    """One table of all queries, with named columns in the given order."""
    values = ["Value"] if len(columns) == 1 else [f"Value #{query_name(i)}" for i in range(len(columns))]
    organize = {
        "excludeByName": {"Time": True},
        "indexByName": {name: i for i, name in enumerate([*labels, *values])},
        "renameByName": {value: column.name for value, column in zip(values, columns, strict=True)},
    }
    return [DataTransformerConfig("merge", options={}), DataTransformerConfig("organize", options=organize)]


def _as_matrix(row: str, column: str) -> DataTransformerConfig:
    options = {"rowField": row, "columnField": column, "valueField": "Value", "emptyValue": "null"}
    return DataTransformerConfig("groupingToMatrix", options=options)


def _ascending(label: str) -> dict[str, object]:
    return {"fields": {}, "sort": [{"field": label, "desc": False}]}
