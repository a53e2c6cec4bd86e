"""Alerts on what the answers are like: budgets, drift from the baseline, canaries."""

from deploy.monitoring.budgets import BUDGETS, Severity
from deploy.monitoring.lookback_windows import MINUTE, Timing
from deploy.monitoring.rule_groups import Alert

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

_NOBODY_IS_WOKEN_FOR = [category for category, budget in BUDGETS.items() if budget.fast_severity == "ticket"]
_POLICY = ("profile", "policy")
_WHICH = "{{ $labels.profile }} {{ $labels.policy }}"
_BURNS = f"{_WHICH} makes {{{{ $labels.category }}}} errors in {{{{ $value | humanizePercentage }}}} of segments"


def quality_alerts(timing: Timing) -> list[Alert]:
    """Every alert on the quality of answers."""
    return [
        _burn_fast(f'category!~"{"|".join(_NOBODY_IS_WOKEN_FOR)}"', "page"),
        _burn_fast(f'category=~"{"|".join(_NOBODY_IS_WOKEN_FOR)}"', "ticket"),
        _burn_slow(),
        _above_baseline(timing),
        _score_shift(timing),
        _input_shift(timing),
        _canary_worse(),
    ]


def _burn_fast(where: str, severity: Severity) -> Alert:
    return Alert(
        name="FgctlErrorBudgetBurnFast",
        severity=severity,
        component="quality",
        expr=f"""
        fg:error_ratio:1h{{{where}}} > fg:burn_threshold:fast
        and
        fg:error_ratio:5m > fg:burn_threshold:fast
        and
        fg:segments_scored:increase1h >= fg:burn_minimum:fast
        """,
        lasting=2 * MINUTE,
        summary=_BURNS,
        description=_burned("fast", "hour", "five minutes"),
        dashboard="fgctl-quality",
        variables=_POLICY,
    )


def _burn_slow() -> Alert:
    return Alert(
        name="FgctlErrorBudgetBurnSlow",
        severity="ticket",
        component="quality",
        expr="""
        fg:error_ratio:6h > fg:burn_threshold:slow
        and
        fg:error_ratio:30m > fg:burn_threshold:slow
        and
        fg:segments_scored:increase6h >= fg:burn_minimum:slow
        """,
        lasting=15 * MINUTE,
        summary=_BURNS,
        description=_burned("slow", "six hours", "30 minutes"),
        dashboard="fgctl-quality",
        variables=_POLICY,
    )


def _burned(speed: str, window: str, still: str) -> str:
    return (
        f"In the last {window} {{{{ $value | humanizePercentage }}}} of the segments that {_WHICH} wrote were "
        f"{{{{ $labels.category }}}} errors. More than {_looked_up(f'fg:burn_threshold:{speed}')} alerts, and the last "
        f"{still} were no better; the budget is {_looked_up('fg:error_budget')}."
    )


def _looked_up(series: str) -> str:
    """A template for what a recorded series says of the alert's policy and category, in percent."""
    return (
        f"{{{{ with printf \"{series}{{profile='%s', policy='%s', category='%s'}}\" "
        "$labels.profile $labels.policy $labels.category | query }}"
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
        fg:segments_scored:increase6h >= {timing.count(ENOUGH)}
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


def _score_shift(timing: Timing) -> Alert:
    return Alert(
        name="FgctlScoreShift",
        severity="ticket",
        component="quality",
        expr=f"""
        fg:score_shift_psi:6h > {LARGE_SHIFT:g}
        and
        fg:score_shift_psi:6h > {CHI_SQUARED:g} * fg:design_effect * fg:score_shift_chance:6h
        and
        fg:segments_scored:increase6h >= {timing.count(ENOUGH)}
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
