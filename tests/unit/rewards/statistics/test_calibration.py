import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.statistics.calibration import OperatingPoint, corrected_rate, operating_point

rates = st.floats(0, 0.45)


def test_operating_point_measures_its_own_mistakes():
    p = np.array([0.1, 0.2, 0.3, 0.9, 0.4, 0.8, 0.9, 0.95])
    labels = np.array([False] * 4 + [True] * 4)
    point = operating_point(p, labels)
    assert 0.3 < point.threshold <= 0.4
    assert (point.false_alarm_rate, point.miss_rate, point.clean, point.errors) == (0.25, 0.0, 4, 4)


@given(truth=st.floats(0, 1), alarms=rates, misses=rates)
def test_the_corrected_rate_undoes_false_alarms_and_misses(truth, alarms, misses):
    point = OperatingPoint(false_alarm_rate=alarms, miss_rate=misses, clean=1000, errors=1000)
    observed = truth * (1 - misses) + (1 - truth) * alarms
    n = 10**9
    estimate = corrected_rate(round(observed * n), n, point)
    assert estimate.value == pytest.approx(truth, abs=1e-6)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1


def test_a_corrected_rate_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    truth, alarms, misses = 0.3, 0.15, 0.35
    covered = 0
    for _ in range(1000):
        point = OperatingPoint(
            false_alarm_rate=rng.binomial(400, alarms) / 400, miss_rate=rng.binomial(200, misses) / 200,
            clean=400, errors=200,
        )  # fmt: skip
        errors = rng.binomial(500, truth * (1 - misses) + (1 - truth) * alarms)
        estimate = corrected_rate(errors, 500, point)
        covered += estimate.low <= truth <= estimate.high
    assert 930 <= covered <= 970


def test_a_point_no_better_than_chance_corrects_nothing():
    blind = OperatingPoint(false_alarm_rate=0.6, miss_rate=0.4, clean=10, errors=10)
    assert corrected_rate(3, 10, blind) is None
    assert corrected_rate(0, 0, OperatingPoint(clean=10, errors=10)) is None
