"""Alerts on distributions: a version's scores or inputs differ from those of its evaluation."""

from deploy.monitoring.alerts.error_budgets import CATEGORY, ENOUGH_SEGMENTS, POLICY, VERSION
from deploy.monitoring.lookback_windows import MINUTE, Timing
from deploy.monitoring.rule_groups import SERVICE, Alert

LARGE_SHIFT = 0.25
"""A population stability index above this is customarily called large."""
CHI_SQUARED = 3.0975
"""A chi-squared variable of 9 degrees of freedom exceeds this multiple of its mean with a probability of 0.001. The
index of ten bins of scores, divided by its mean where nothing has moved, is distributed like this."""
CHI_SQUARED_INPUTS = 7.0
"""The same for two degrees of freedom, the fewest that an input has; with more, exceeding it is rarer still."""
ENOUGH_REQUESTS = ENOUGH_SEGMENTS

_INDEX = '{{ $value | printf "%.2f" }}'
_LARGE = "Above 0.25 is a large shift, and sampling does not explain this one."


def shift_alerts(timing: Timing) -> list[Alert]:
    """Every alert on distributions."""
    return [_score_shift(timing), _input_shift(timing)]


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
        fg:segments_scored:increase6h >= {timing.count(ENOUGH_SEGMENTS)}
        """,
        hold_seconds=30 * MINUTE,
        summary=f"The {CATEGORY} scores of {VERSION} are distributed differently than in its evaluation",
        description=(
            f"Over six hours the population stability index of the {CATEGORY} error probabilities of {VERSION} is "
            f"{_INDEX}. {_LARGE} If all versions have shifted, suspect the inputs or the reward models; if only this "
            "one, the version."
        ),
        dashboard="fgctl-quality",
        dashboard_variables=POLICY,
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
        sum by ({SERVICE}, profile, policy, input) (fg:input_bin:increase6h) >= {timing.count(ENOUGH_REQUESTS)}
        """,
        hold_seconds=30 * MINUTE,
        summary=f"Requests to {VERSION} differ from its evaluation in {{{{ $labels.input }}}}",
        description=(
            f"Over six hours the population stability index of {{{{ $labels.input }}}} in the scored requests to "
            f"{VERSION} is {_INDEX}. {_LARGE} The figures of its evaluation may not hold for these requests: find out "
            "which caller sends them."
        ),
        dashboard="fgctl-quality",
        dashboard_variables=POLICY,
    )
