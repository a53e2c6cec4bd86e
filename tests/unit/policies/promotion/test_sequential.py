from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.promotion.sequential import (
    ALPHA,
    MARGIN,
    MIN_RESPONSES,
    N_STAR,
    Arm,
    Sums,
    compare,
    half_width,
    rho_squared,
)

PROBABILITIES = st.lists(st.floats(0, 1), min_size=1, max_size=50)


def arm(**values):
    """The arm of these values by category."""
    (count,) = {len(of) for of in values.values()}
    return Arm(count, {name: Sums(float(np.sum(of)), float(np.sum(np.square(of)))) for name, of in values.items()})


def spread(mean, count, deviation=0.1):
    """Values with that mean and standard deviation."""
    return [mean - deviation, mean + deviation] * (count // 2)


def test_the_half_width_by_hand():
    # rho^2 = (5.9915 + ln 6.9915) / 1000 = 0.0079362; sqrt(2 * 8.9362 / (1000^2 * 0.0079362) * ln(2.9893 / 0.05))
    assert rho_squared(0.05, 1000) == pytest.approx(0.0079362, abs=1e-7)
    assert half_width(1000, 1.0, 0.05, 1000) == pytest.approx(0.09598, abs=1e-5)
    assert half_width(1000, 0.04, 0.05, 1000) == pytest.approx(0.2 * 0.09598, abs=1e-5)
    assert half_width(1000, 0.0, 0.05) == 0


def test_it_is_narrowest_where_it_is_to_be_and_wider_than_an_interval_that_may_be_read_once():
    at_best = half_width(N_STAR, 1.0, ALPHA)
    for other in (0.25, 0.5, 2, 4):
        assert at_best < half_width(N_STAR, 1.0, ALPHA, other * N_STAR)
    assert 1.96 / sqrt(N_STAR) < at_best < 2 * 1.96 / sqrt(N_STAR)


@given(st.integers(1, 10**6), st.floats(0.001, 0.2))
def test_more_responses_and_less_certainty_make_it_narrower(n, alpha):
    assert half_width(n + 1, 1.0, alpha) < half_width(n, 1.0, alpha)
    assert half_width(n, 1.0, 1.5 * alpha) < half_width(n, 1.0, alpha)


def test_the_interval_is_that_of_the_difference_of_two_means():
    comparison = compare(
        arm(relevance=spread(0.4, 100), factuality=spread(0.2, 100, 0.05)),
        arm(relevance=spread(0.3, 900, 0.2), factuality=spread(0.2, 900)),
    )
    relevance = comparison.categories["relevance"]
    assert (relevance.canary, relevance.incumbent) == (pytest.approx(0.4), pytest.approx(0.3))
    assert relevance.difference == pytest.approx(0.1)
    variance = 1000 * (0.1**2 / 100 + 0.2**2 / 900)
    assert relevance.radius == pytest.approx(half_width(1000, variance, ALPHA / 2))
    assert (relevance.low, relevance.high) == (
        pytest.approx(0.1 - relevance.radius),
        pytest.approx(0.1 + relevance.radius),
    )
    grown = 1000 * rho_squared(ALPHA / 2) + 1
    factor = 2 * grown / (1000**2 * rho_squared(ALPHA / 2)) * log(sqrt(grown) / (ALPHA / 2))
    assert relevance.radius == pytest.approx(sqrt(variance * factor))


def test_verdicts_and_their_reasons():
    incumbent = arm(relevance=spread(0.5, 1000), factuality=spread(0.1, 1000))
    worse = compare(arm(relevance=spread(0.5, 200), factuality=spread(0.25, 200)), incumbent)
    assert worse.verdict == "worse"
    assert worse.reason.startswith("In factuality the canary's mean error probability is 0.150 above the incumbent's")
    better = compare(arm(relevance=spread(0.4, 200), factuality=spread(0.1, 200)), incumbent)
    assert better.verdict == "no_worse"
    assert better.reason.endswith("in factuality.")
    assert max(category.high for category in better.categories.values()) < MARGIN
    unclear = compare(arm(relevance=spread(0.53, 60), factuality=spread(0.1, 60)), incumbent)
    assert unclear.verdict == "undecided"
    low, high = unclear.categories["relevance"].low, unclear.categories["relevance"].high
    assert f"anything from {low:+.3f} to {high:+.3f}" in unclear.reason


def test_a_difference_within_the_margin_may_be_both_above_nothing_and_no_regression_and_counts_as_worse():
    comparison = compare(arm(relevance=spread(0.52, 40_000)), arm(relevance=spread(0.5, 40_000)))
    assert 0 < comparison.categories["relevance"].low < comparison.categories["relevance"].high < MARGIN
    assert comparison.verdict == "worse"


def test_few_responses_get_no_verdict():
    incumbent = arm(relevance=spread(0.1, 1000))
    few = compare(arm(relevance=spread(0.9, MIN_RESPONSES - 2)), incumbent)
    assert few.verdict == "undecided"
    assert few.reason == (
        f"The canary has {MIN_RESPONSES - 2} scored responses and its incumbent 1000; a verdict needs "
        f"{MIN_RESPONSES} of each."
    )
    relevance = few.categories["relevance"]
    assert (relevance.radius, relevance.low, relevance.high) == (None, -1, 1)
    assert relevance.difference == pytest.approx(0.8)
    assert compare(arm(relevance=spread(0.9, MIN_RESPONSES)), incumbent).verdict == "worse"
    none = compare(Arm(0, {}), incumbent)
    assert (none.verdict, none.categories) == ("undecided", {})


def test_categories_that_only_one_arm_was_scored_by_are_not_compared():
    comparison = compare(arm(relevance=spread(0.5, 100)), arm(factuality=spread(0.5, 100)))
    assert (comparison.verdict, comparison.categories) == ("undecided", {})
    assert "No category" in comparison.reason


@pytest.mark.parametrize(
    ("responses", "total", "squares"),
    [(10, 11, 5), (10, 5, 6), (10, -1, 0), (10, 5, -0.5), (10, float("nan"), 1), (0, 1, 1)],
)
def test_sums_that_no_probabilities_have_are_refused(responses, total, squares):
    with pytest.raises(ValueError, match="cannot sum to"):
        Arm(responses, {"relevance": Sums(total, squares)})


@given(PROBABILITIES, PROBABILITIES)
def test_services_add_up(here, there):
    both, apart = arm(relevance=here + there), arm(relevance=here) + arm(relevance=there)
    assert apart.responses == both.responses
    assert apart.mean("relevance") == pytest.approx(both.mean("relevance"))
    assert apart.variance("relevance") == pytest.approx(both.variance("relevance"), abs=1e-9)
    assert both.variance("relevance") == pytest.approx(np.var(here + there), abs=1e-9)


def test_a_service_without_responses_takes_no_category_away():
    some = arm(relevance=[0.5, 0.7])
    assert some + Arm(0, {}) == Arm(0, {}) + some == some


def test_categories_scored_by_one_service_alone_are_left_out_of_the_sum():
    assert (arm(relevance=[0.5], shouting=[0.1]) + arm(relevance=[0.7])).categories.keys() == {"relevance"}


MEANS = {"relevance": 0.6, "factuality": 0.1, "completeness": 0.5}


def first_alarms(difference, *, runs, responses, share, seed):
    """After how many responses a canary is first called worse, looking after every ten; None where it never is.

    In factuality its probabilities are higher by the difference; all have standard deviations of .13 to .22.
    """
    rng = np.random.default_rng(seed)
    for _ in range(runs):
        gets = rng.random(responses) < share
        drawn = {name: rng.beta(4 * mean, 4 * (1 - mean), responses) for name, mean in MEANS.items()}
        higher = MEANS["factuality"] + difference
        drawn["factuality"][gets] = rng.beta(4 * higher, 4 * (1 - higher), gets.sum())
        sums = [
            (chosen.cumsum(), {name: ((chosen * x).cumsum(), (chosen * x * x).cumsum()) for name, x in drawn.items()})
            for chosen in (gets, ~gets)
        ]
        yield next((n for n in range(10, responses + 1, 10) if compare(*arms_at(sums, n)).verdict == "worse"), None)


def arms_at(sums, n):
    return [
        Arm(int(count[n - 1]), {name: Sums(float(a[n - 1]), float(b[n - 1])) for name, (a, b) in of.items()})
        for count, of in sums
    ]


def test_looking_at_all_times_alarms_no_more_often_than_said():
    runs = 400
    alarms = [at for at in first_alarms(0.0, runs=runs, responses=3000, share=0.3, seed=0) if at]
    # Three standard errors above ALPHA.
    assert len(alarms) / runs <= ALPHA + 3 * sqrt(ALPHA * (1 - ALPHA) / runs)


def test_a_true_difference_is_found():
    alarms = list(first_alarms(0.15, runs=50, responses=3000, share=0.1, seed=1))
    assert all(alarms)
    assert np.median(alarms) < 1500
