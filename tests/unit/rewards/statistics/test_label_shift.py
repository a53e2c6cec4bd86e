import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.statistics.label_shift import shifted_rate


def scores(rng, rate, number, at_home):
    """Probabilities that are calibrated where the share of errors is `at_home`, of traffic with another share."""
    errors = rng.random(number) < rate
    evidence = rng.normal(np.where(errors, 1.0, -1.0), 1.0)  # log-likelihood ratio 2 x
    return 1 / (1 + np.exp(-(2 * evidence + np.log(at_home / (1 - at_home)))))


@pytest.mark.parametrize("rate", [0.03, 0.17, 0.5, 0.8])
def test_the_share_of_errors_is_found_where_errors_look_as_at_home(rate):
    p = scores(np.random.default_rng(0), rate, 20_000, at_home=0.17)
    assert shifted_rate(p, 0.17) == pytest.approx(rate, abs=0.015)


def test_a_case_computed_by_hand():
    """Certain scores are counted; scores that equal the share at home say nothing."""
    assert shifted_rate(np.array([1.0, 1.0, 1.0, 0.0]), 0.2) == pytest.approx(0.75, abs=1e-4)
    assert shifted_rate(np.full(10, 0.2), 0.2) == pytest.approx(0.2)
    assert shifted_rate(np.array([]), 0.2) == 0.2


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.floats(0, 1))
def test_a_rate_is_a_rate(probabilities, at_home):
    assert 0 <= shifted_rate(np.array(probabilities), at_home) <= 1
