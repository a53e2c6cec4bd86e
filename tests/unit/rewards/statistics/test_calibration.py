import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from rewards.statistics.agreement_with_people import (
    binary_agreement,
    bootstrap_interval,
    calibration_error,
    confusion,
    macro_f1,
    pairwise_agreement,
)
from rewards.statistics.calibration import OperatingPoint, corrected_rate, operating_point

rates = st.floats(0, 0.45)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_macro_f1_is_that_of_scikit_learn(pairs):
    labels, predicted = map(np.array, zip(*pairs, strict=True))
    expected = f1_score(labels, predicted, average="macro", labels=[False, True], zero_division=0)
    assert macro_f1(labels, predicted) == pytest.approx(expected)


def test_confusion_counts_each_question():
    labels = np.array([True, True, False, False, True])
    predicted = np.array([True, False, True, False, True])
    question = np.array([0, 0, 0, 2, 2])
    assert confusion(labels, predicted, question, 3).tolist() == [[1, 1, 1, 0], [0, 0, 0, 0], [1, 0, 0, 1]]


def test_a_probability_that_means_what_it_says_has_no_calibration_error():
    p = np.repeat([0.2, 0.8], 50)
    labels = np.concatenate([np.arange(50) < 10, np.arange(50) < 40])
    assert calibration_error(p, labels, bins=2) == pytest.approx(0)
    assert calibration_error(1 - p, labels, bins=2) == pytest.approx(0.6)


def test_equal_scores_count_half():
    report = pairwise_agreement(np.array([1.0, -1.0, 0.0, 2.0]), np.array([0, 0, 1, 1]), 2)
    assert report["pairwise_accuracy"] == 0.625
    assert report["n"] == 4


def test_intervals_count_questions_not_segments():
    """Ten questions of a hundred equal segments say as much as ten segments."""
    rows = np.array([[1.0, 1.0]] * 5 + [[0.0, 1.0]] * 5)

    def share(sums):
        return sums[..., 0] / sums[..., 1]

    assert bootstrap_interval(rows, share) == bootstrap_interval(100 * rows, share)
    low, high = bootstrap_interval(rows, share)
    assert low < 0.3
    assert high > 0.7


def test_the_report_of_no_segments_is_zeros():
    nothing = np.zeros(0, dtype=bool)
    report = binary_agreement(nothing, np.zeros(0), nothing, np.zeros(0, dtype=np.int64), 3)
    assert (report["accuracy"], report["n"]) == (0, 0)


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


def test_nothing_is_corrected_by_a_point_that_tells_nothing_apart():
    blind = OperatingPoint(false_alarm_rate=0.6, miss_rate=0.4, clean=10, errors=10)
    assert corrected_rate(3, 10, blind) is None
    assert corrected_rate(0, 0, OperatingPoint(clean=10, errors=10)) is None
