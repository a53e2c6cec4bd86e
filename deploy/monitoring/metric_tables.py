"""The tables of docs/metrics.md: each is written between two comments that name its section."""

import re
from collections.abc import Iterable

from deploy.monitoring.service_metrics import ServiceMetric, service_metrics

_TABLE = re.compile(r"<!-- metrics: (\w+) -->\n.*?<!-- end -->", re.DOTALL)
_HEADER = "| name | type | labels | meaning, and what to do when it moves |\n|---|---|---|---|\n"


def with_metric_tables(page: str) -> str:
    """A page with its tables written anew. Raises ValueError unless it has exactly one for each section."""
    sections = service_metrics()
    if sorted(_TABLE.findall(page)) != sorted(sections):
        raise ValueError(f"docs/metrics.md must have one table for each of {', '.join(sections)}")
    return _TABLE.sub(lambda table: f"<!-- metrics: {table[1]} -->\n{_table(sections[table[1]])}<!-- end -->", page)


def _table(metrics: Iterable[ServiceMetric]) -> str:
    rows = (f"| `{m.name}` | {m.type} | {', '.join(m.labels)} | {m.help} |\n" for m in metrics)
    return _HEADER + "".join(rows)
