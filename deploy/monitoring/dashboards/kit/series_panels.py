"""Panels of series: lines, single numbers, bars, heatmaps.

A panel has a title, a description (what it shows, and what to do when it moves), queries and a unit. Widths and heights
are in cells of Grafana's grid, which is 24 wide; `board` places the panels.
"""

from collections.abc import Mapping

from grafana_foundation_sdk.builders import bargauge, common, heatmap, stat, timeseries
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    GraphDrawStyle,
    GraphThresholdsStyleMode,
    StackingMode,
    VisibilityMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import DynamicConfigValue, Panel
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from deploy.monitoring.dashboards.kit.panel_options import (
    COLOR_BY_SERIES,
    NO_NUMBER,
    Query,
    Thresholds,
    ValueNames,
    instant_query,
    last_value,
    legend,
    panel_with_options,
    query_name,
    range_query,
    threshold_steps,
    tooltip,
)


def time_series(
    title: str,
    description: str,
    *queries: Query,
    unit: str,
    width: int = 8,
    height: int = 8,
    thresholds: Thresholds = (),
    stacked: bool = False,
    minimum: float | None = 0,
    maximum: float | None = None,
    exemplars: bool = False,
    nothing: str = "",
) -> Panel:
    """Lines over time, or stacked bars. `nothing` replaces "No data"; thresholds are drawn as dashed lines."""
    panel = panel_with_options(
        timeseries.Panel(), title, description, unit, (width, height), thresholds, None, COLOR_BY_SERIES
    )
    panel.targets([range_query(query, i, exemplars) for i, query in enumerate(queries)])
    panel.legend(legend("last", "mean")).tooltip(tooltip()).show_points(VisibilityMode.NEVER)
    panel.line_width(1 if stacked else 2).fill_opacity(60 if stacked else 0)
    if stacked:
        panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL).group("A")).draw_style(GraphDrawStyle.BARS)
    if thresholds:
        panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED))
    for i, query in enumerate(queries):
        if style := _style(query):
            panel.override_by_query(query_name(i), style)
    if minimum is not None:
        panel.min(minimum)
    if maximum is not None:
        panel.max(maximum)
    if nothing:
        panel.no_value(nothing)
    return panel.build()


def number(
    title: str,
    description: str,
    query: Query,
    *,
    unit: str,
    width: int = 4,
    height: int = 5,
    thresholds: Thresholds = (),
    decimals: int | None = None,
    value_names: ValueNames | None = None,
    nothing: str = NO_NUMBER,
) -> Panel:
    """The value of each series at the end of the time range as a large number or its name.

    An instant query: the last value in the time range would still show the state of a service that is gone.
    """
    panel = panel_with_options(stat.Panel(), title, description, unit, (width, height), thresholds, value_names)
    panel.targets([instant_query(query, 0)]).reduce_options(last_value())
    panel.graph_mode(BigValueGraphMode.NONE).color_mode(BigValueColorMode.VALUE).no_value(nothing)
    if decimals is not None:
        panel.decimals(decimals)
    return panel.build()


def bars(
    title: str,
    description: str,
    query: Query,
    *,
    unit: str,
    width: int = 8,
    height: int = 7,
    thresholds: Thresholds = (),
    by_name: Mapping[str, Thresholds] | None = None,
    maximum: float | None = None,
) -> Panel:
    """A bar for each series at its last value. `by_name` gives single series thresholds of their own."""
    panel = panel_with_options(bargauge.Panel(), title, description, unit, (width, height), thresholds)
    panel.targets([instant_query(query, 0)]).reduce_options(last_value()).orientation(VizOrientation.HORIZONTAL).min(0)
    for name, own in (by_name or {}).items():
        panel.override_by_name(name, [DynamicConfigValue("thresholds", threshold_steps(own).build())])
    if maximum is not None:
        panel.max(maximum)
    return panel.build()


def heatmap_over_time(
    title: str, description: str, query: Query, *, unit: str, width: int = 8, height: int = 8
) -> Panel:
    """A histogram over time: the brighter a cell, the more observations."""
    panel = panel_with_options(heatmap.Panel(), title, description, unit, (width, height))
    panel.targets([range_query(query, 0).format(PromQueryFormat.HEATMAP)]).calculate(False)
    return panel.cell_values(heatmap.CellValues().unit("short")).y_axis(heatmap.YAxisConfig().unit(unit)).build()


def _style(query: Query) -> list[DynamicConfigValue]:
    style = []
    if query.dashed:
        style.append(DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [6, 6]}))
        style.append(DynamicConfigValue("custom.lineWidth", 1))
    if query.color:
        style.append(DynamicConfigValue("color", {"mode": "fixed", "fixedColor": query.color}))
    return style
