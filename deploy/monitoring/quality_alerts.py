"""Alerts on what the answers are like: budgets, drift from the baseline, canaries."""

from collections.abc import Iterator
from math import sqrt

from deploy.monitoring.budgets import BUDGETS, OTHER, Budget, Entry, entries, others_selector
from deploy.monitoring.groups import Alert
from deploy.monitoring.windows import MINUTE, Timing

Z = 3.0902
"""Standard errors that a normal variable exceeds with a probability of 0.001."""
CHI_SQUARED = 3.0975
"""Times its mean that a chi-squared variable of 9 degrees of freedom exceeds with a probability of 0.001: the index of
ten bins of scores, over its mean where nothing has moved."""
CHI_SQUARED_INPUTS = 7.0
"""The same of two degrees of freedom, the fewest that an input has; with more of them it is rarer still."""
SMALLEST_DRIFT = 0.05
"""A smaller rise of an error ratio is nobody's business, however sure it is."""
LARGE_SHIFT = 0.25
"""From here on the index is customarily called large."""
ENOUGH = 100
"""Segments, or requests, in the window below which normal approximations are not trusted."""

_POLICY = ("profile", "policy")
_WHICH = "{{ $labels.profile }} {{ $labels.policy }}"
_BURNS = f"{_WHICH} makes {{{{ $labels.category }}}} errors in {{{{ $value | humanizePercentage }}}} of segments"


def quality_alerts(timing: Timing) -> list[Alert]:
    """Every alert on the quality of answers."""
    return [
        *(_burn_fast(entry, timing) for entry in entries()),
        *(_burn_slow(entry, timing) for entry in entries()),
        *(_above_baseline(selector, budget, timing) for selector, budget in _categories()),
        *(_score_shift(selector, budget, timing) for selector, budget in _categories()),
        _input_shift(timing),
        _canary_worse(),
    ]


def _categories() -> Iterator[tuple[str, Budget]]:
    for category, budget in BUDGETS.items():
        yield f'category="{category}"', budget
    yield others_selector(), OTHER


def _burn_fast(entry: Entry, timing: Timing) -> Alert:
    threshold, minimum = entry.budget.threshold(entry.budget.fast), entry.budget.minimum(entry.budget.fast)
    where = entry.selector
    return Alert(
        name="FgctlErrorBudgetBurnFast",
        severity=entry.budget.fast_severity,
        component="quality",
        expr=f"""
        fg:error_ratio:1h{{{where}}} > {threshold:g}
        and
        fg:error_ratio:5m{{{where}}} > {threshold:g}
        and
        fg:segments_scored:increase1h{{{where}}} >= {timing.count(minimum)}
        """,
        lasting=2 * MINUTE,
        summary=_BURNS,
        description=_burned(entry, threshold, minimum, "hour", "and in the last five minutes"),
        dashboard="fgctl-quality",
        variables=_POLICY,
    )


def _burn_slow(entry: Entry, timing: Timing) -> Alert:
    threshold, minimum = entry.budget.threshold(entry.budget.slow), entry.budget.minimum(entry.budget.slow)
    where = entry.selector
    return Alert(
        name="FgctlErrorBudgetBurnSlow",
        severity="ticket",
        component="quality",
        expr=f"""
        fg:error_ratio:6h{{{where}}} > {threshold:g}
        and
        fg:error_ratio:30m{{{where}}} > {threshold:g}
        and
        fg:segments_scored:increase6h{{{where}}} >= {timing.count(minimum)}
        """,
        lasting=15 * MINUTE,
        summary=_BURNS,
        description=_burned(entry, threshold, minimum, "six hours", "and in the last half hour"),
        dashboard="fgctl-quality",
        variables=_POLICY,
    )


def _burned(entry: Entry, threshold: float, minimum: int, window: str, still: str) -> str:
    budget = entry.budget.error_ratio
    return (
        f"In the last {window} {{{{ $value | humanizePercentage }}}} of the segments that {_WHICH} wrote were "
        f"{{{{ $labels.category }}}} errors, {still} still more than {threshold:.1%}: the budget is {budget:.1%}, and "
        f"this is {threshold / budget:.2f} times as much. At least {minimum} segments were scored."
    )


def _above_baseline(where: str, budget: Budget, timing: Timing) -> Alert:
    return Alert(
        name="FgctlErrorsAboveBaseline",
        severity="ticket",
        component="quality",
        expr=f"""
        fg:error_drift:6h{{{where}}} > {SMALLEST_DRIFT:g}
        and
        fg:error_drift:6h{{{where}}} > {Z * sqrt(budget.design_effect):.4g} * fg:error_drift_chance:6h{{{where}}}
        and
        fg:error_drift:30m{{{where}}} > {SMALLEST_DRIFT:g}
        and
        fg:segments_scored:increase6h{{{where}}} >= {timing.count(ENOUGH)}
        """,
        lasting=15 * MINUTE,
        summary=f"{_WHICH} errs more in {{{{ $labels.category }}}} than when it was evaluated",
        description=(
            f"In the last six hours the share of {{{{ $labels.category }}}} errors of {_WHICH} was "
            "{{ $value | humanizePercentage }} (of all segments) above that of the version's own evaluation, which is "
            "more than sampling explains."
        ),
        dashboard="fgctl-quality",
        variables=_POLICY,
    )


def _score_shift(where: str, budget: Budget, timing: Timing) -> Alert:
    return Alert(
        name="FgctlScoreShift",
        severity="ticket",
        component="quality",
        expr=f"""
        fg:score_shift_psi:6h{{{where}}} > {LARGE_SHIFT:g}
        and
        fg:score_shift_psi:6h{{{where}}}
          > {CHI_SQUARED * budget.design_effect:.4g} * fg:score_shift_chance:6h{{{where}}}
        and
        fg:segments_scored:increase6h{{{where}}} >= {timing.count(ENOUGH)}
        """,
        lasting=30 * MINUTE,
        summary=f"The {{{{ $labels.category }}}} scores of {_WHICH} are not spread as in its evaluation",
        description=(
            f"The population stability index of the {{{{ $labels.category }}}} error probabilities of {_WHICH} over "
            'six hours is {{ $value | printf "%.2f" }}; above 0.25 is large, and this is more than sampling explains.'
        ),
        dashboard="fgctl-quality",
        variables=_POLICY,
    )


def _input_shift(timing: Timing) -> Alert:
    return Alert(
        name="FgctlInputShift",
        severity="ticket",
        component="quality",
        expr=f"""
        fg:input_shift_psi:6h > {LARGE_SHIFT:g}
        and
        fg:input_shift_psi:6h > {CHI_SQUARED_INPUTS:g} * fg:input_shift_chance:6h
        and
        sum by (profile, policy, input) (fg:input_bin:increase6h) >= {timing.count(ENOUGH)}
        """,
        lasting=30 * MINUTE,
        summary=f"{_WHICH} is asked other things than in its evaluation: {{{{ $labels.input }}}}",
        description=(
            f"The population stability index of {{{{ $labels.input }}}} in the scored requests to {_WHICH} over six "
            'hours is {{ $value | printf "%.2f" }}; above 0.25 is large, and this is more than sampling explains. What '
            "its evaluation says of it may not hold for these requests."
        ),
        dashboard="fgctl-quality",
        variables=_POLICY,
    )


def _canary_worse() -> Alert:
    """Only while it runs: its evidence stays until the service restarts. The sequential test needs no more samples."""
    bound = "topk(1, fg:canary_difference{profile='%s', canary='%s'} - fg:canary_radius{profile='%s', canary='%s'})"
    names = "$labels.profile $labels.canary $labels.profile $labels.canary"
    return Alert(
        name="FgctlCanaryWorse",
        severity="page",
        component="policies",
        expr="""
        fg:canary_verdict{verdict="worse"} == 1
        and on (profile, canary)
        label_replace(max by (profile, policy) (fg_canary_share) > 0, "canary", "$1", "policy", "(.+)")
        """,
        lasting=1 * MINUTE,
        summary="The canary {{ $labels.canary }} of {{ $labels.profile }} is worse than what it may replace",
        description=(
            f'{{{{ with printf "{bound}" {names} | query }}}}{{{{ with first . }}}}'
            "In {{ .Labels.category }} its mean error probability is above the incumbent's by at least "
            "{{ .Value | humanizePercentage }}. {{ end }}{{ end }}"
            "The test may be read at any time: the chance that it ever says so of a canary that is no worse is 5 %."
        ),
        dashboard="fgctl-policies",
        variables=("profile",),
        labels={"policy": "{{ $labels.canary }}"},
    )
