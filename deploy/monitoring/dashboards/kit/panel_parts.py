"""What panels of every kind have in common: queries, thresholds, words for values."""

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
NOTHING_YET = "–"
"""What is shown for a ratio of nothing: 0/0 is no number."""

Thresholds = Sequence[tuple[float | None, str]]
"""(value, colour from that value on), ascending; the first value is None."""
Words = Mapping[str, tuple[str, str]]
"""Value -> (text, colour)."""


@dataclass(frozen=True)
class Query:
    """One PromQL expression and how its series are named, by a template such as `{{profile}}`."""

    expr: str
    legend: str = ""
    dashed: bool = False
    """Drawn as a thin dashed line, for what others are compared with."""
    color: str = ""
    """Of all its series; empty for a colour of each one's own."""


def rising(warning: float, bad: float) -> Thresholds:
    """For what should be low."""
    return ((None, "green"), (warning, "orange"), (bad, "red"))


def falling(bad: float, good: float) -> Thresholds:
    """For what should be high."""
    return ((None, "red"), (bad, "orange"), (good, "green"))


def limits(*values: float) -> Thresholds:
    """Lines that a graph should stay below."""
    return ((None, "transparent"), *((value, "red") for value in sorted(set(values))))


class Kind(Protocol):
    """What every kind of panel can be told."""

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
EACH_ITS_OWN = FieldColorModeId.PALETTE_CLASSIC


def described(
    panel: K,
    title: str,
    description: str,
    unit: str,
    size: tuple[int, int],
    thresholds: Thresholds = (),
    words: Words | None = None,
    colors: FieldColorModeId = FieldColorModeId.THRESHOLDS,
) -> K:
    """A panel with all that is said of it but its queries; `size` is (width, height)."""
    width, height = size
    panel.title(title).description(description).datasource(DATASOURCE).unit(unit).span(width).height(height)
    no_number = SpecialValueMap(
        DashboardSpecialValueMapOptions(
            match=SpecialValueMatch.NULL_AND_NAN, result=ValueMappingResult(text=NOTHING_YET, color="text")
        )
    )
    named = {value: ValueMappingResult(text=text, color=color) for value, (text, color) in (words or {}).items()}
    panel.color_scheme(dashboard.FieldColor().mode(colors))
    panel.mappings([no_number, *([ValueMap(named)] if named else [])])
    return panel.thresholds(steps(thresholds or ((None, "green"),)))


def over_time(query: Query, index: int, exemplars: bool = False) -> prometheus.Dataquery:
    """A query for series over the dashboard's time range."""
    return _target(query, index).exemplar(exemplars).range()


def now(query: Query, index: int) -> prometheus.Dataquery:
    """A query for series at the end of the time range."""
    return _target(query, index).instant()


def as_table(expr: str, index: int) -> prometheus.Dataquery:
    """A query for a table with a column for each label, at the end of the time range."""
    return _target(Query(expr), index).format(PromQueryFormat.TABLE).instant()


def _target(query: Query, index: int) -> prometheus.Dataquery:
    target = prometheus.Dataquery().expr(query.expr).ref_id(ref(index)).datasource(DATASOURCE)
    return target.legend_format(query.legend or "__auto").editor_mode(QueryEditorMode.CODE)


def ref(index: int) -> str:
    """The name of a panel's query, from A on."""
    return chr(ord("A") + index)


def steps(thresholds: Thresholds) -> dashboard.ThresholdsConfig:
    """Thresholds as Grafana has them."""
    return dashboard.ThresholdsConfig().steps([Threshold(value, color) for value, color in thresholds])


def last() -> common.ReduceDataOptions:
    """Of a series, its last value."""
    return common.ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields("")


def tooltip() -> common.VizTooltipOptions:
    """All series at the pointer, the highest first."""
    return common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING)


def legend(*calculations: str) -> common.VizLegendOptions:
    """Names below the panel, with what is calculated from each series."""
    mode = LegendDisplayMode.TABLE if calculations else LegendDisplayMode.LIST
    shown = common.VizLegendOptions().show_legend(True).display_mode(mode).placement(LegendPlacement.BOTTOM)
    return shown.calcs([*calculations])
