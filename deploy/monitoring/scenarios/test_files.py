"""The scenarios as the files of deploy/prometheus/tests."""

from collections.abc import Mapping
from typing import Any

from deploy.monitoring.alerts.alert_groups import alert_groups
from deploy.monitoring.lookback_windows import Timing
from deploy.monitoring.recording.recording_groups import recording_groups
from deploy.monitoring.scenarios import canary, distribution_shift, error_budgets, feedback, restart, scoring, serving
from deploy.monitoring.scenarios.scenario import Scenario

FILES: Mapping[str, list[Scenario]] = {
    "canary": canary.SCENARIOS,
    "distribution_shift": distribution_shift.SCENARIOS,
    "error_budgets": error_budgets.SCENARIOS,
    "feedback": feedback.SCENARIOS,
    "restart": restart.SCENARIOS,
    "scoring": scoring.SCENARIOS,
    "serving": serving.SCENARIOS,
}


def promtool_tests() -> dict[str, dict[str, Any]]:
    """The content of each file, by its name without suffix."""
    order = [group.name for group in (*recording_groups(Timing()), *alert_groups(Timing()))]
    return {
        name: {
            "rule_files": ["../rules.yml", "../alerts.yml"],
            "evaluation_interval": "1m",
            "group_eval_order": order,
            "tests": [scenario.as_yaml() for scenario in scenarios],
        }
        for name, scenarios in FILES.items()
    }
