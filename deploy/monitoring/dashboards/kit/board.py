"""A dashboard: variables, links and annotations, which all dashboards share, and rows of panels on Grafana's grid."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import (
    AnnotationQuery,
    DashboardCursorSync,
    DashboardLinkType,
    GridPos,
    Panel,
    RowPanel,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from deploy.monitoring.dashboards.kit.panel_options import DATASOURCE
from deploy.monitoring.dashboards.kit.promql import PROFILE, SERVICE, VERSION
from deploy.monitoring.rule_groups import DOCUMENTATION

COLUMNS = 24
TAG = "fgctl"
"""Dashboards with this tag link to each other."""

_LISTED_METRIC = "fg_segments_scored_total"
"""Its series exist, from zero on, for every served version; the variables list its labels."""


@dataclass(frozen=True)
class Row:
    """Panels below a heading, from left to right, on as many lines as they need."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True)
class Board:
    """One dashboard."""

    uid: str
    title: str
    description: str
    rows: Sequence[Row]

    def as_json(self) -> str:
        """The dashboard as Grafana reads it."""
        built = (
            dashboard.Dashboard(self.title)
            .uid(self.uid)
            .description(self.description)
            .tags([TAG])
            .readonly()
            .time("now-6h", "now")
            .refresh("1m")
            .tooltip(DashboardCursorSync.CROSSHAIR)
            .variables([_datasource(), _namespace(), _job(), _profile(), _version()])
            .links([_other_dashboards(), _document("Runbook", "runbook.md"), _document("Metrics", "metrics.md")])
            .build()
        )
        for variable in built.templating.list_val or ():
            # The SDK sets these fields of every variable; Grafana has them for intervals only.
            variable.auto = variable.auto_min = variable.auto_count = None
        built.annotations.list_val = [_promotions()]
        built.panels = list(_placed(self.rows))
        return json.dumps(built, cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _placed(rows: Iterable[Row]) -> Iterable[Panel | RowPanel]:
    """The rows and their panels, placed on the grid and numbered from 1, so that links to single panels stay short."""
    y, number = 0, 1
    for row in rows:
        yield RowPanel(title=row.title, id_val=number, grid_pos=GridPos(h=1, w=COLUMNS, x=0, y=y))
        x, height = 0, 0
        y, number = y + 1, number + 1
        for panel in row.panels:
            place = panel.grid_pos
            if place is None:
                raise ValueError(f"{panel.title} has no size")
            if x + place.w > COLUMNS:
                x, y, height = 0, y + height, 0
            panel.id_val, panel.grid_pos = number, GridPos(h=place.h, w=place.w, x=x, y=y)
            x, height, number = x + place.w, max(height, place.h), number + 1
            yield panel
        y += height


def _datasource() -> dashboard.DatasourceVariable:
    return dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")


def _namespace() -> dashboard.QueryVariable:
    return _single("namespace", "Namespace", f"label_values({_LISTED_METRIC}, namespace)")


def _job() -> dashboard.QueryVariable:
    return _single("job", "Job", f'label_values({_LISTED_METRIC}{{namespace="$namespace"}}, job)')


def _profile() -> dashboard.QueryVariable:
    return _labels("profile", "Profile", f"label_values({_LISTED_METRIC}{{{SERVICE}}}, profile)")


def _version() -> dashboard.QueryVariable:
    return _labels("policy", "Policy version", f"label_values({_LISTED_METRIC}{{{PROFILE}}}, policy)")


def _labels(name: str, label: str, query: str) -> dashboard.QueryVariable:
    """Any number of a label's values; all of them at first."""
    everything = VariableOption(selected=True, text=["All"], value=["$__all"])
    return _single(name, label, query).multi(True).include_all(True).all_value(".*").current(everything)


def _single(name: str, label: str, query: str) -> dashboard.QueryVariable:
    """One of a label's values, the first at first; empty where targets lack the label."""
    variable = dashboard.QueryVariable(name).label(label).datasource(DATASOURCE)
    variable.query({"qryType": 1, "query": query, "refId": name})
    return variable.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).sort(VariableSort.ALPHABETICAL_ASC)


def _other_dashboards() -> dashboard.DashboardLink:
    link = dashboard.DashboardLink("fgctl").type(DashboardLinkType.DASHBOARDS).tags([TAG])
    return link.include_vars(True).keep_time(True)


def _document(title: str, file: str) -> dashboard.DashboardLink:
    link = dashboard.DashboardLink(title).type(DashboardLinkType.LINK).icon("doc").url(f"{DOCUMENTATION}/{file}")
    return link.target_blank(True)


class _PrometheusAnnotation(AnnotationQuery):
    """An annotation of a Prometheus data source, which has fields that the SDK does not know."""

    def to_json(self) -> dict[str, Any]:
        fields = {
            "step": "60s",
            "textFormat": "{{profile}} {{policy}}",
            "titleFormat": "Promotion",
            "tagKeys": "profile",
        }
        return super().to_json() | fields | {"useValueForTime": True}


def _promotions() -> AnnotationQuery:
    """A line where a version was promoted; the value of the query is the time, in milliseconds."""
    expr = f"max by (profile, policy) (fg_policy_promoted_timestamp_seconds{{{VERSION}}}) * 1000"
    return _PrometheusAnnotation("Promotions", DATASOURCE, icon_color="blue", expr=expr)
