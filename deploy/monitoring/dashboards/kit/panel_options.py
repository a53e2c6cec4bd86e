"""What panels of every kind have in common: queries, thresholds, names of values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

from grafana_foundation_sdk.builders import common, dashboard, prometheus
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement, SortOrder, TooltipDisplayMode
from grafana_foundation_sdk.models.dashboard import (
    DashboardSpecialValueMapOptions,
    DataSourceRef,
    FieldColor,
    FieldColorModeId,
    SpecialValueMap,
    SpecialValueMatch,
    Threshold,
    ThresholdsConfig,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat, QueryEditorMode

DATASOURCE = DataSourceRef("prometheus", "${datasource}")
NO_NUMBER = "–"
"""Shown instead of NaN, which is what a ratio is without observations (0/0)."""

Thresholds = Sequence[tuple[float | None, str]]
"""(value, color from that value on), ascending; the first value is None."""
ValueNames = Mapping[str, tuple[str, str]]
"""Value -> (text, color)."""


@dataclass(frozen=True)
class Query:
    """One PromQL expression, with a template such as `{{profile}}` for the names of its series."""

    expr: str
    legend: str = ""
    dashed: bool = False
    """Draw a thin dashed line, for a reference that others are compared with."""
    color: str = ""
    """The color of all its series; if empty, each series has its own."""


def lower_is_better(warning: float, bad: float) -> Thresholds:
    """Green below `warning`, orange from there on, red from `bad` on."""
    return ((None, "green"), (warning, "orange"), (bad, "red"))


def higher_is_better(bad: float, good: float) -> Thresholds:
    """Red below `bad`, orange from there on, green from `good` on."""
    return ((None, "red"), (bad, "orange"), (good, "green"))


def limit_lines(*values: float) -> Thresholds:
    """Red lines that a graph should stay below."""
    return ((None, "transparent"), *((value, "red") for value in sorted(set(values))))


class Kind(Protocol):
    """The builder methods that every kind of panel has."""

    def title(self, title: str) -> Self: ...
    def description(self, description: str) -> Self: ...
    def datasource(self, datasource: DataSourceRef) -> Self: ...
    def height(self, h: int) -> Self: ...
    def span(self, w: int) -> Self: ...
    def unit(self, unit: str) -> Self: ...
    def thresholds(self, thresholds: Builder[ThresholdsConfig]) -> Self: ...
    def color_scheme(self, color: Builder[FieldColor]) -> Self: ...
    def mappings(self, mappings: list[ValueMapping]) -> Self: ...


K = TypeVar("K", bound=Kind)
COLOR_BY_SERIES = FieldColorModeId.PALETTE_CLASSIC


def panel_with_options(
    panel: K,
    title: str,
    description: str,
    unit: str,
    size: tuple[int, int],
    thresholds: Thresholds = (),
    value_names: ValueNames | None = None,
    colors: FieldColorModeId = FieldColorModeId.THRESHOLDS,
) -> K:
    """Set everything of a panel but its queries; `size` is (width, height)."""
    width, height = size
    panel.title(title).description(description).datasource(DATASOURCE).unit(unit).span(width).height(height)
    no_number = SpecialValueMap(
        DashboardSpecialValueMapOptions(
            match=SpecialValueMatch.NULL_AND_NAN, result=ValueMappingResult(text=NO_NUMBER, color="text")
        )
    )
    names = {value: ValueMappingResult(text=text, color=color) for value, (text, color) in (value_names or {}).items()}
    panel.color_scheme(dashboard.FieldColor().mode(colors))
    panel.mappings([no_number, *([ValueMap(names)] if names else [])])
    return panel.thresholds(threshold_steps(thresholds or ((None, "green"),)))


def range_query(query: Query, index: int, exemplars: bool = False) -> prometheus.Dataquery:
    """A query for series over the dashboard's time range."""
    return _target(query, index).exemplar(exemplars).range()


def instant_query(query: Query, index: int) -> prometheus.Dataquery:
    """A query for the values at the end of the time range."""
    return _target(query, index).instant()


def table_query(expr: str, index: int) -> prometheus.Dataquery:
    """A query for the values at the end of the time range, as a table with a column for each label."""
    return _target(Query(expr), index).format(PromQueryFormat.TABLE).instant()


def _target(query: Query, index: int) -> prometheus.Dataquery:
    target = prometheus.Dataquery().expr(query.expr).ref_id(query_name(index)).datasource(DATASOURCE)
    return target.legend_format(query.legend or "__auto").editor_mode(QueryEditorMode.CODE)


def query_name(index: int) -> str:
    """The name of a panel's query: A, B, and so on."""
    return chr(ord("A") + index)


def threshold_steps(thresholds: Thresholds) -> dashboard.ThresholdsConfig:
    """Thresholds in Grafana's format."""
    return dashboard.ThresholdsConfig().steps([Threshold(value, color) for value, color in thresholds])


def last_value() -> common.ReduceDataOptions:
    """Reduce a series to its last value."""
    return common.ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields("")


def tooltip() -> common.VizTooltipOptions:
    """Show all series at the pointer, the highest first."""
    return common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING)


def legend(*calculations: str) -> common.VizLegendOptions:
    """Names below the panel, in a table if anything is calculated from each series."""
    mode = LegendDisplayMode.TABLE if calculations else LegendDisplayMode.LIST
    shown = common.VizLegendOptions().show_legend(True).display_mode(mode).placement(LegendPlacement.BOTTOM)
    return shown.calcs([*calculations])
