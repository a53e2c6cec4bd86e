"""The Grafana dashboards, as code. `generated` are the files, `queries` what they ask of Prometheus."""

from pathlib import Path

from deploy.monitoring.dashboards.boards import policies, quality, scoring, serving
from deploy.monitoring.dashboards.queries import Asked, asked_by

BOARDS = (quality.BOARD, policies.BOARD, serving.BOARD, scoring.BOARD)
FOLDER = Path("deploy/grafana/dashboards")
"""Where Grafana is given them, from the repository's root on."""


def generated() -> dict[Path, str]:
    """The dashboards' files and what is in them."""
    return {FOLDER / f"{board.uid}.json": board.as_json() for board in BOARDS}


def queries(rate_interval: str = "1m", time_range: str = "1h") -> list[Asked]:
    """Every query of every dashboard as (dashboard, panel, expression), with everything chosen in the variables.

    Queries of annotations and variables are among them. `rate_interval` must span at least two scrapes.
    """
    return [asked for content in generated().values() for asked in asked_by(content, rate_interval, time_range)]
