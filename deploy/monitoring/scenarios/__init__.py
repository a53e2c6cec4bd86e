"""Cases for `promtool test rules`: what the service exports, and which alerts must fire then, and no others.

What is exported is made here, since it is long and regular. What is expected is written by hand.
"""

from collections.abc import Mapping
from typing import Any

from deploy.monitoring.scenarios import canary, feedback, restart, scoring, serving
from deploy.monitoring.scenarios import distribution_shift as shift
from deploy.monitoring.scenarios import error_budgets as burn
from deploy.monitoring.scenarios.scenario import Scenario

FILES: Mapping[str, list[Scenario]] = {
    "burn": burn.SCENARIOS,
    "canary": canary.SCENARIOS,
    "feedback": feedback.SCENARIOS,
    "restart": restart.SCENARIOS,
    "scoring": scoring.SCENARIOS,
    "serving": serving.SCENARIOS,
    "shift": shift.SCENARIOS,
}


def test_files() -> dict[str, dict[str, Any]]:
    """The files of deploy/prometheus/tests by name, without suffix."""
    from deploy.monitoring.alerts import groups as alerts
    from deploy.monitoring.lookback_windows import Timing
    from deploy.monitoring.recording import series as rules

    order = [group.name for group in (*rules.groups(Timing()), *alerts.groups(Timing()))]
    return {
        name: {
            "rule_files": ["../rules.yml", "../alerts.yml"],
            "evaluation_interval": "1m",
            "group_eval_order": order,
            "tests": [scenario.as_yaml() for scenario in scenarios],
        }
        for name, scenarios in FILES.items()
    }
