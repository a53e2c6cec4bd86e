"""Every query of the dashboards, read from their JSON so that none is left out."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from deploy.monitoring.dashboards.dashboard_files import dashboard_files
from deploy.monitoring.rule_groups import JOB

_VARIABLE = re.compile(r"\$(\w+)")
_LABEL_VALUES = re.compile(r"label_values\((.*), \w+\)")


class PanelQuery(NamedTuple):
    """One query of a panel, an annotation or a variable."""

    dashboard: str
    panel: str
    expression: str


def panel_queries(
    rate_interval: str = "1m", time_range: str = "1h", namespace: str = "", job: str = JOB
) -> list[PanelQuery]:
    """Every query of every dashboard, annotations and variables included, with every profile and version of a service.

    `rate_interval` must span at least two scrapes.
    """
    service = {"namespace": namespace, "job": job}
    contents = dashboard_files().values()
    return [query for content in contents for query in queries_in(content, rate_interval, time_range, service)]


def queries_in(content: str, rate_interval: str, time_range: str, service: Mapping[str, str]) -> Iterator[PanelQuery]:
    """The queries of a dashboard's JSON. Raises KeyError for a variable that it does not define."""
    dashboard: dict[str, Any] = json.loads(content)
    values = {"__rate_interval": rate_interval, "__range": time_range}
    values |= {variable["name"]: ".*" for variable in dashboard["templating"]["list"]}
    values |= {name: value for name, value in service.items() if name in values}
    for panel, expression in _expressions(dashboard):
        yield PanelQuery(dashboard["uid"], panel, _VARIABLE.sub(lambda name: values[name[1]], expression))


def _expressions(dashboard: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    for annotation in dashboard["annotations"]["list"]:
        yield f"annotation {annotation['name']}", annotation["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            match = _LABEL_VALUES.fullmatch(variable["query"]["query"])
            if match is None:
                raise ValueError(f"the query of variable {variable['name']} is not label_values(METRIC, LABEL)")
            yield f"variable {variable['name']}", match[1]
