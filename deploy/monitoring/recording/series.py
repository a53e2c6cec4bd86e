"""Every recorded series. A series fg:NAME:WINDOW looks WINDOW back.

Instances are summed away, so that replicas count as one service. Increases are taken of each instance's counters before
they are summed: a restart, which sets counters to zero, and an instance that goes or comes lose at most what happened
between two scrapes.
"""

from collections.abc import Callable

from deploy.monitoring.budgets import Budget, entries
from deploy.monitoring.lookback_windows import WINDOWS, Timing, Window
from deploy.monitoring.recording.canary_test import canary_records
from deploy.monitoring.recording.distribution_shift import baseline_records, shift_records
from deploy.monitoring.rule_groups import Group, Record

POLICY = "profile, policy, category"
KNOWN_ENOUGH = 0.1
"""An error rate is corrected only where the reward model tells errors from clean segments by so much at least."""


def groups(timing: Timing) -> list[Group]:
    """The groups of rules.yml: what has no window, then each window's."""
    timeless = Group("fgctl-baselines", 30, [*_budgets(timing), *baseline_records()])
    return [
        timeless,
        *(Group(f"fgctl-{window.name}", window.every, _records(window, timing)) for window in WINDOWS),
        Group("fgctl-canary", 30, canary_records()),
    ]


def _records(window: Window, timing: Timing) -> list[Record]:
    back = timing.window(window.seconds)
    return [
        *_errors(window.name, back),
        *_drift(window.name),
        *shift_records(window.name, back),
        *_scoring(window.name, back),
    ]


def _budgets(timing: Timing) -> list[Record]:
    """What deploy.monitoring.budgets says, for every policy and category, scored already or not."""
    values: dict[str, Callable[[Budget], float]] = {
        "fg:error_budget": lambda budget: budget.error_ratio,
        "fg:burn_threshold:fast": lambda budget: budget.threshold(budget.fast),
        "fg:burn_threshold:slow": lambda budget: budget.threshold(budget.slow),
        "fg:burn_minimum:fast": lambda budget: timing.count(budget.minimum(budget.fast)),
        "fg:burn_minimum:slow": lambda budget: timing.count(budget.minimum(budget.slow)),
        "fg:design_effect": lambda budget: budget.design_effect,
    }
    return [
        Record("fg:zero", f"0 * sum by ({POLICY}) (fg_segments_scored_total)"),
        *(
            Record(name, "\nor\n".join(f"fg:zero{{{entry.selector}}} + {value(entry.budget):g}" for entry in entries()))
            for name, value in values.items()
        ),
    ]


def _errors(name: str, back: str) -> list[Record]:
    false_alarms = "avg by (category) (fg_scorer_false_alarm_ratio)"
    misses = "avg by (category) (fg_scorer_miss_ratio)"
    return [
        Record(
            f"fg:segments_scored:increase{name}",
            f"sum by ({POLICY}) (increase(fg_segments_scored_total[{back}]))",
        ),
        Record(
            f"fg:segment_errors:increase{name}",
            f"sum by ({POLICY}) (increase(fg_segment_errors_total[{back}]))\nor\n0 * fg:segments_scored:increase{name}",
        ),
        # Nothing is said where nothing was scored: 0/0 would be drawn, and compared with.
        Record(
            f"fg:error_ratio:{name}",
            f"clamp_max(fg:segment_errors:increase{name} / (fg:segments_scored:increase{name} > 0), 1)",
        ),
        # Rogan & Gladen (1978), "Estimating prevalence from the results of a screening test".
        Record(
            f"fg:error_ratio_corrected:{name}",
            f"""
            clamp(
              (fg:error_ratio:{name} - on (category) group_left () {false_alarms})
              / on (category) group_left ()
              (1 - {misses} - {false_alarms} >= {KNOWN_ENOUGH:g}),
              0, 1
            )
            """,
        ),
    ]


def _drift(name: str) -> list[Record]:
    """Online errors beside the version's own offline rate, and the standard error of the difference of two samples.

    With n segments online and m offline, both rates being one, p: sqrt(p (1 - p) (1/n + 1/m)); p is estimated from all.
    """
    scored, pooled = f"fg:segments_scored:increase{name}", f"fg:error_ratio_pooled:{name}"
    return [
        Record(f"fg:error_drift:{name}", f"fg:error_ratio:{name} - fg:baseline_error_ratio"),
        Record(
            pooled,
            f"""
            (fg:segment_errors:increase{name} + fg:baseline_error_ratio * fg:baseline_segments)
            / (({scored} > 0) + fg:baseline_segments)
            """,
        ),
        Record(
            f"fg:error_drift_chance:{name}",
            f"sqrt(clamp_min({pooled} - {pooled} ^ 2, 0) * (1 / ({scored} > 0) + 1 / fg:baseline_segments))",
        ),
    ]


def _scoring(name: str, back: str) -> list[Record]:
    return [
        Record(
            f"fg:scoring_coverage:{name}",
            f"""
            clamp_max(
              sum by (profile) (increase(fg_responses_scored_total[{back}]))
              / (sum by (profile) (increase(fg_scoring_offered_total[{back}])) > 0),
              1
            )
            """,
        ),
        Record(
            f"fg:scoring_busy_ratio:{name}",
            f"sum(rate(fg_scoring_busy_seconds_total[{back}])) / (sum(fg_scoring_workers) > 0)",
        ),
    ]
