"""The rules compute the same numbers as the Python functions whose formulas they repeat."""

from math import isclose

import pytest
from scipy.stats import chi2, norm

from deploy.monitoring.alerts import distribution_shift as shift_alerts
from deploy.monitoring.alerts.error_budgets import Z
from deploy.monitoring.recording import distribution_shift as shift_rules
from deploy.monitoring.scenarios import canary
from deploy.monitoring.scenarios import distribution_shift as shift
from policies.promotion.sequential import Arm, Sums, compare
from rewards.statistics.distribution_shift import INPUTS, SCORE_BINS, SMOOTHING, psi, psi_by_chance


def arm(evidence):
    return Arm(evidence.responses, {name: Sums(*sums) for name, sums in evidence.sums.items()})


@pytest.mark.parametrize(
    ("verdict", "arms"), [("worse", canary.WORSE), ("undecided", canary.UNDECIDED), ("no_worse", canary.NO_WORSE)]
)
def test_canaries(verdict, arms):
    comparison = compare(*map(arm, arms))
    assert comparison.verdict == verdict
    for category, apart in comparison.categories.items():
        assert apart.difference == pytest.approx(canary.DIFFERENCE[verdict][category], abs=1e-12)
        assert round(apart.radius, 6) == canary.RADIUS[verdict][category]


def test_a_canary_with_too_few_responses():
    comparison = compare(*map(arm, canary.TOO_FEW))
    assert comparison.verdict == "undecided"
    assert all(apart.radius is None for apart in comparison.categories.values())


@pytest.mark.parametrize(("case", "counts"), [("alike", shift.ALIKE), ("apart", shift.APART), ("gaps", shift.GAPS)])
def test_shifts_of_scores(case, counts):
    hour = {name: 60 * count for name, count in counts.items()}
    assert round(psi(hour, shift.SCORES, shift.SENTENCES), 6) == shift.PSI[case]
    assert round(psi_by_chance(len(SCORE_BINS), sum(hour.values()), shift.SENTENCES), 6) == shift.CHANCE["scores"]


@pytest.mark.parametrize(("case", "counts"), [("english", shift.ENGLISH), ("foreign", shift.FOREIGN)])
def test_shifts_of_inputs(case, counts):
    hour = {name: 60 * count for name, count in counts.items()}
    assert round(psi(hour, shift.LANGUAGES, shift.RESPONSES), 6) == shift.PSI[case]
    assert round(psi_by_chance(len(shift.LANGUAGES), sum(hour.values()), shift.RESPONSES), 6) == shift.CHANCE["inputs"]


def test_scenarios_have_the_bins_of_the_service():
    assert tuple(shift.SCORES) == SCORE_BINS
    assert tuple(shift.LANGUAGES) == INPUTS["language"]
    assert shift_rules.SMOOTHING == SMOOTHING


def test_limits_of_chance_are_exceeded_once_in_a_thousand():
    assert isclose(norm.sf(Z), 0.001, rel_tol=1e-3)
    freedom = len(SCORE_BINS) - 1
    assert isclose(chi2.sf(shift_alerts.CHI_SQUARED * freedom, freedom), 0.001, rel_tol=1e-3)
    assert all(
        chi2.sf(shift_alerts.CHI_SQUARED_INPUTS * (len(bins) - 1), len(bins) - 1) < 0.001 for bins in INPUTS.values()
    )
