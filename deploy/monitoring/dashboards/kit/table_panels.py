"""Panels of tables: queries at the end of the time range, joined by their labels."""

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import barchart, table, xychart
from grafana_foundation_sdk.models.common import StackingMode
from grafana_foundation_sdk.models.dashboard import DataTransformerConfig, DynamicConfigValue, Panel
from grafana_foundation_sdk.models.xychart import SeriesMapping

from deploy.monitoring.dashboards.kit.panel_parts import (
    EACH_ITS_OWN,
    Thresholds,
    Words,
    as_table,
    described,
    legend,
    ref,
    steps,
    tooltip,
)


@dataclass(frozen=True)
class Column:
    """One column of numbers: a query for one number by the table's labels."""

    name: str
    expr: str
    unit: str
    thresholds: Thresholds = ()


def rows_of(
    title: str,
    description: str,
    labels: Sequence[str],
    *columns: Column,
    width: int = 24,
    height: int = 9,
    words: Words | None = None,
    nothing: str = "",
) -> Panel:
    """A table with a row for each combination of `labels`. `words` stand for values of labels."""
    panel = described(table.Panel(), title, description, "short", (width, height), words=words)
    panel.targets([as_table(column.expr, i) for i, column in enumerate(columns)])
    panel.transformations(_joined(labels, columns))
    for column in columns:
        settings = [DynamicConfigValue("unit", column.unit)]
        if column.thresholds:
            settings.append(DynamicConfigValue("thresholds", steps(column.thresholds).build()))
            settings.append(DynamicConfigValue("custom.cellOptions", {"type": "color-text"}))
        panel.override_by_name(column.name, settings)
    if words:
        for label in labels:
            panel.override_by_name(label, [DynamicConfigValue("custom.cellOptions", {"type": "color-text"})])
    if nothing:
        panel.no_value(nothing)
    return panel.build()


def side_by_side(
    title: str, description: str, label: str, *columns: Column, unit: str, width: int = 8, height: int = 8
) -> Panel:
    """For each value of a label a group of bars: one for each column."""
    panel = described(barchart.Panel(), title, description, unit, (width, height), colors=EACH_ITS_OWN)
    panel.targets([as_table(column.expr, i) for i, column in enumerate(columns)])
    panel.transformations([*_joined([label], columns), DataTransformerConfig("sortBy", options=_ascending(label))])
    return panel.x_field(label).legend(legend()).tooltip(tooltip()).min(0).build()


def matrix(
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
    """For each value of the label `row` a group of bars: one for each value of the label `column`."""
    panel = described(barchart.Panel(), title, description, unit, (width, height), colors=EACH_ITS_OWN)
    panel.targets([as_table(expr, 0)]).transformations([_by_both(row, column)])
    panel.stacking(StackingMode.NORMAL if stacked else StackingMode.NONE)
    return panel.legend(legend()).tooltip(tooltip()).min(0).max(1).build()


def trade_off(
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
    """A point for each value of the label `point`, where `expr` has it for `x` and `y`, values of the label `axis`."""
    panel = described(xychart.Panel(), title, description, unit, (width, height), colors=EACH_ITS_OWN)
    panel.targets([as_table(expr, 0)]).transformations([_by_both(point, axis)])
    panel.mapping(SeriesMapping.MANUAL).series([_series(x, y)]).legend(legend()).tooltip(tooltip())
    panel.point_size(xychart.XychartFieldConfigPointSize().fixed(12)).min(0).max(1)
    for name in (x, y):
        panel.override_by_name(name, [DynamicConfigValue("custom.axisLabel", name)])
    return panel.build()


def _series(x: str, y: str) -> xychart.XYSeriesConfig:
    across = xychart.XychartXYSeriesConfigX().matcher(xychart.MatcherConfig().id("byName").options(x))
    up = xychart.XychartXYSeriesConfigY().matcher(xychart.MatcherConfig().id("byName").options(y))
    # Without a frame Grafana draws nothing: there is one, after the transformation.
    frame = xychart.XychartXYSeriesConfigFrame().matcher(xychart.MatcherConfig().id("byIndex").options(0))
    return xychart.XYSeriesConfig().frame(frame).x(across).y(up)


def _joined(labels: Sequence[str], columns: Sequence[Column]) -> list[DataTransformerConfig]:
    """One table of all queries, with the columns in their order and named."""
    values = ["Value"] if len(columns) == 1 else [f"Value #{ref(i)}" for i in range(len(columns))]
    organize = {
        "excludeByName": {"Time": True},
        "indexByName": {name: i for i, name in enumerate([*labels, *values])},
        "renameByName": {value: column.name for value, column in zip(values, columns, strict=True)},
    }
    return [DataTransformerConfig("merge", options={}), DataTransformerConfig("organize", options=organize)]


def _by_both(row: str, column: str) -> DataTransformerConfig:
    options = {"rowField": row, "columnField": column, "valueField": "Value", "emptyValue": "null"}
    return DataTransformerConfig("groupingToMatrix", options=options)


def _ascending(label: str) -> dict[str, object]:
    return {"fields": {}, "sort": [{"field": label, "desc": False}]}
