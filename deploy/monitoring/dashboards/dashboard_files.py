"""The dashboards as the JSON files that Grafana reads."""

from pathlib import Path

from deploy.monitoring.dashboards.boards import policies, quality, scoring, serving

BOARDS = (quality.BOARD, policies.BOARD, serving.BOARD, scoring.BOARD)
FOLDER = Path("deploy/grafana/dashboards")
"""Where Grafana's provisioning finds them, from the repository's root."""


def dashboard_files() -> dict[Path, str]:
    """The text of every dashboard, by its path."""
    return {FOLDER / f"{board.uid}.json": board.as_json() for board in BOARDS}
