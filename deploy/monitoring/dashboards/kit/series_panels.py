"""Panels of series, so that a dashboard reads as a list of questions. `tables` has those of tables.

A panel has a title, a description (what it shows, and what to do when it moves), queries and a unit. Widths are
columns of Grafana's 24, heights are its rows; `board` places the panels.
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

from deploy.monitoring.dashboards.kit.panel_parts import (
    EACH_ITS_OWN,
    NOTHING_YET,
    Query,
    Thresholds,
    Words,
    described,
    last,
    legend,
    now,
    over_time,
    ref,
    steps,
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
    """Lines over time, or bars upon each other. `nothing` is said instead of "No data"; thresholds are dashed lines."""
    panel = described(timeseries.Panel(), title, description, unit, (width, height), thresholds, None, EACH_ITS_OWN)
    panel.targets([over_time(query, i, exemplars) for i, query in enumerate(queries)])
    panel.legend(legend("lastNotNull", "mean")).tooltip(tooltip()).show_points(VisibilityMode.NEVER)
    panel.line_width(1 if stacked else 2).fill_opacity(60 if stacked else 0)
    if stacked:
        panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL).group("A")).draw_style(GraphDrawStyle.BARS)
    if thresholds:
        panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED))
    for i, query in enumerate(queries):
        if style := _style(query):
            panel.override_by_query(ref(i), style)
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
    words: Words | None = None,
    nothing: str = NOTHING_YET,
) -> Panel:
    """The last value of each series, large, over its course. `words` stand for values."""
    panel = described(stat.Panel(), title, description, unit, (width, height), thresholds, words)
    panel.targets([over_time(query, 0)]).reduce_options(last())
    panel.graph_mode(BigValueGraphMode.AREA).color_mode(BigValueColorMode.VALUE).no_value(nothing)
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
    panel = described(bargauge.Panel(), title, description, unit, (width, height), thresholds)
    panel.targets([now(query, 0)]).reduce_options(last()).orientation(VizOrientation.HORIZONTAL).min(0)
    for name, own in (by_name or {}).items():
        panel.override_by_name(name, [DynamicConfigValue("thresholds", steps(own).build())])
    if maximum is not None:
        panel.max(maximum)
    return panel.build()


def distribution(title: str, description: str, query: Query, *, unit: str, width: int = 8, height: int = 8) -> Panel:
    """A histogram over time: the brighter, the more observations."""
    panel = described(heatmap.Panel(), title, description, unit, (width, height))
    panel.targets([over_time(query, 0).format(PromQueryFormat.HEATMAP)]).calculate(False)
    return panel.cell_values(heatmap.CellValues().unit("short")).y_axis(heatmap.YAxisConfig().unit(unit)).build()


def _style(query: Query) -> list[DynamicConfigValue]:
    style = []
    if query.dashed:
        style.append(DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [6, 6]}))
        style.append(DynamicConfigValue("custom.lineWidth", 1))
    if query.color:
        style.append(DynamicConfigValue("color", {"mode": "fixed", "fixedColor": query.color}))
    return style
