"""Error ratios, their budgets, and how far they have drifted from the version's evaluation."""

from collections.abc import Callable

from deploy.monitoring.budgets import Budget, budgeted_series
from deploy.monitoring.lookback_windows import Timing
from deploy.monitoring.rule_groups import SERVICE, Record

POLICY = f"{SERVICE}, profile, policy, category"
SMALLEST_DISCRIMINATION = 0.1
"""Error ratios are corrected only if one minus the reward model's false alarm and miss rates is at least this."""


def budget_records(timing: Timing) -> list[Record]:
    """The numbers of deploy.monitoring.budgets, for every policy and category, whether or not any answer is scored."""
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
            Record(
                name,
                "\nor\n".join(
                    f"fg:zero{{{budgeted.selector}}} + {value(budgeted.budget):g}" for budgeted in budgeted_series()
                ),
            )
            for name, value in values.items()
        ),
    ]


def error_records(name: str, back: str) -> list[Record]:
    """Segments, errors and error ratios of a window called `name` that looks `back`."""
    by_category, by_profile = f"{SERVICE}, category", f"{SERVICE}, profile, category"
    false_alarms = f"avg by ({by_category}) (fg_scorer_false_alarm_ratio)"
    misses = f"avg by ({by_category}) (fg_scorer_miss_ratio)"
    return [
        Record(
            f"fg:segments_scored:increase{name}",
            f"sum by ({POLICY}) (increase(fg_segments_scored_total[{back}]))",
        ),
        Record(
            f"fg:segment_errors:increase{name}",
            f"sum by ({POLICY}) (increase(fg_segment_errors_total[{back}]))\nor\n0 * fg:segments_scored:increase{name}",
        ),
        # Absent where no segment was scored: 0/0 would be drawn, and alerts would compare with it.
        Record(
            f"fg:error_ratio:{name}",
            f"clamp_max(fg:segment_errors:increase{name} / (fg:segments_scored:increase{name} > 0), 1)",
        ),
        # Budgets go by what people see, as far as labels tell; where nothing is labelled, by the reward models alone.
        Record(
            f"fg:error_ratio_estimated:{name}",
            f"""
            clamp(
              fg:error_ratio:{name}
              + on ({by_profile}) group_left () max by ({by_profile}) (fg_error_rate_correction),
              0, 1
            )
            or
            fg:error_ratio:{name}
            """,
        ),
        # Rogan & Gladen (1978), "Estimating prevalence from the results of a screening test".
        Record(
            f"fg:error_ratio_corrected:{name}",
            f"""
            clamp(
              (fg:error_ratio:{name} - on ({by_category}) group_left () {false_alarms})
              / on ({by_category}) group_left ()
              (1 - {misses} - {false_alarms} >= {SMALLEST_DISCRIMINATION:g}),
              0, 1
            )
            """,
        ),
    ]


def drift_records(name: str) -> list[Record]:
    """The online error ratio less the version's offline one, and the standard error of that difference.

    With n segments online, m offline and one rate p for both: sqrt(p (1 - p) (1/n + 1/m)), p estimated from all of
    them.
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
