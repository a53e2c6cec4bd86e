"""Alerts on errors: a version makes more of them than its budget, or than its own evaluation."""

from deploy.monitoring.budgets import BUDGETS, Severity
from deploy.monitoring.lookback_windows import MINUTE, Timing
from deploy.monitoring.rule_groups import Alert

Z = 3.0902
"""Standard errors that a normal variable exceeds with a probability of 0.001."""
SMALLEST_DRIFT = 0.05
"""A smaller rise of an error ratio does not alert, however certain it is."""
ENOUGH_SEGMENTS = 100
"""With fewer segments in the window, normal approximations are not trusted."""

POLICY = ("profile", "policy")
"""The variables with which the dashboard shows one version."""
VERSION = "{{ $labels.profile }} {{ $labels.policy }}"
CATEGORY = "{{ $labels.category }}"
_PERCENTAGE = "{{ $value | humanizePercentage }}"
_TICKET_CATEGORIES = "|".join(category for category, budget in BUDGETS.items() if budget.fast_severity == "ticket")


def error_budget_alerts(timing: Timing) -> list[Alert]:
    """Every alert on error ratios."""
    return [
        _burn_fast(f'category!~"{_TICKET_CATEGORIES}"', "page"),
        _burn_fast(f'category=~"{_TICKET_CATEGORIES}"', "ticket"),
        _burn_slow(),
        _above_baseline(timing),
    ]


def _burn_fast(where: str, severity: Severity) -> Alert:
    return Alert(
        name="FgctlErrorBudgetBurnFast",
        severity=severity,
        component="quality",
        expr=f"""
        fg:error_ratio_estimated:1h{{{where}}} > fg:burn_threshold:fast
        and
        fg:error_ratio_estimated:5m > fg:burn_threshold:fast
        and
        fg:segments_scored:increase1h >= fg:burn_minimum:fast
        """,
        hold_seconds=2 * MINUTE,
        summary=_burn_summary(),
        description=_burn_description("fast", "hour", "five minutes"),
        dashboard="fgctl-quality",
        dashboard_variables=POLICY,
    )


def _burn_slow() -> Alert:
    return Alert(
        name="FgctlErrorBudgetBurnSlow",
        severity="ticket",
        component="quality",
        expr="""
        fg:error_ratio_estimated:6h > fg:burn_threshold:slow
        and
        fg:error_ratio_estimated:30m > fg:burn_threshold:slow
        and
        fg:segments_scored:increase6h >= fg:burn_minimum:slow
        """,
        hold_seconds=15 * MINUTE,
        summary=_burn_summary(),
        description=_burn_description("slow", "six hours", "30 minutes"),
        dashboard="fgctl-quality",
        dashboard_variables=POLICY,
    )


def _burn_summary() -> str:
    return f"{VERSION}: {_PERCENTAGE} of segments are {CATEGORY} errors"


def _burn_description(speed: str, window: str, short_window: str) -> str:
    return (
        f"In the last {window}, {_PERCENTAGE} of the segments that {VERSION} wrote were {CATEGORY} errors. This alert "
        f"fires above {_value_of(f'fg:burn_threshold:{speed}')}, and the last {short_window} were above it too; the "
        f"budget is {_value_of('fg:error_budget')}. Labels, where there are any, correct the share. If it began with a "
        "promotion, roll back: fgctl policies rollback {{ $labels.profile }}."
    )


def _value_of(series: str) -> str:
    """A template that looks up a recorded series for the alert's policy and category, in percent."""
    return (
        f"{{{{ with printf \"{series}{{namespace='%s', job='%s', profile='%s', policy='%s', category='%s'}}\" "
        "$labels.namespace $labels.job $labels.profile $labels.policy $labels.category | query }}"
        "{{ first . | value | humanizePercentage }}{{ end }}"
    )


def _above_baseline(timing: Timing) -> Alert:
    return Alert(
        name="FgctlErrorsAboveBaseline",
        severity="ticket",
        component="quality",
        expr=f"""
        fg:error_drift:6h > {SMALLEST_DRIFT:g}
        and
        fg:error_drift:6h > {Z:g} * sqrt(fg:design_effect) * fg:error_drift_chance:6h
        and
        fg:error_drift:30m > {SMALLEST_DRIFT:g}
        and
        fg:segments_scored:increase6h >= {timing.count(ENOUGH_SEGMENTS)}
        """,
        hold_seconds=15 * MINUTE,
        summary=f"{VERSION} makes more {CATEGORY} errors than in its evaluation",
        description=(
            f"In the last six hours the {CATEGORY} error ratio of {VERSION} was above that of its own evaluation by "
            f"{_PERCENTAGE} of all segments, which is more than sampling explains. Check whether the inputs have "
            "changed; if not, check the stored version with fgctl policies verify."
        ),
        dashboard="fgctl-quality",
        dashboard_variables=POLICY,
    )
