"""What a dashboard asks of Prometheus, read from its JSON, so that nothing in it is left out."""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

_VARIABLE = re.compile(r"\$(\w+)")
_LABEL_VALUES = re.compile(r"label_values\((.*), \w+\)")


class Asked(NamedTuple):
    """One query of a panel, an annotation or a variable."""

    dashboard: str
    panel: str
    expression: str


def asked_by(content: str, rate_interval: str, time_range: str) -> Iterator[Asked]:
    """The queries of a dashboard. Variables of its own stand for everything, as "All" does."""
    dashboard: dict[str, Any] = json.loads(content)
    values = {"__rate_interval": rate_interval, "__range": time_range}
    values |= {variable["name"]: ".*" for variable in dashboard["templating"]["list"]}
    for panel, expression in _expressions(dashboard):
        yield Asked(dashboard["uid"], panel, _VARIABLE.sub(lambda name: values[name[1]], expression))


def _expressions(dashboard: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    for annotation in dashboard["annotations"]["list"]:
        yield f"annotation {annotation['name']}", annotation["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            found = _LABEL_VALUES.fullmatch(variable["query"]["query"])
            if found is None:
                raise ValueError(f"variable {variable['name']} asks for more than the values of a label")
            yield f"variable {variable['name']}", found[1]
