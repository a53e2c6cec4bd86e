"""Every recorded series, in the groups of rules.yml."""

from deploy.monitoring.lookback_windows import WINDOWS, Timing, Window
from deploy.monitoring.recording.canary_test import canary_records
from deploy.monitoring.recording.distribution_shift import baseline_records, shift_records
from deploy.monitoring.recording.error_rates import budget_records, drift_records, error_records
from deploy.monitoring.recording.scoring_rates import scoring_records
from deploy.monitoring.rule_groups import Group, Record


def recording_groups(timing: Timing) -> list[Group]:
    """The groups of rules.yml: series without a window, those of each window, and the canary test."""
    return [
        Group("fgctl-baselines", 30, [*budget_records(timing), *baseline_records()]),
        *(Group(f"fgctl-{window.name}", window.interval, _records(window, timing)) for window in WINDOWS),
        Group("fgctl-canary", 30, canary_records()),
    ]


def _records(window: Window, timing: Timing) -> list[Record]:
    back = timing.window(window.seconds)
    return [
        *error_records(window.name, back),
        *drift_records(window.name),
        *shift_records(window.name, back),
        *scoring_records(window.name, back),
    ]
