import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from rewards.statistics.agreement_with_people import (
    binary_agreement,
    bootstrap_interval,
    calibration_error,
    calibration_error_beyond_chance,
    confusion,
    label_agreement,
    macro_f1,
    pairwise_agreement,
)

NAMES = ("a", "b", "c")


def agreement(labels, predicted):
    return label_agreement(labels, predicted, NAMES, np.arange(len(labels)), len(labels))


def test_label_figures_computed_by_hand():
    figures = agreement(list("aaaabb"), list("aaabba"))
    assert figures["n"] == 6
    assert figures["accuracy"] == pytest.approx(4 / 6, abs=1e-4)
    assert figures["macro_f1"] == pytest.approx((2 * 3 / (4 + 4) + 2 * 1 / (2 + 2)) / 2, abs=1e-4)
    assert figures["baselines"] == {"majority": pytest.approx(4 / 6, abs=1e-4)}
    assert figures["majority_macro_f1"] == pytest.approx(2 * 4 / (4 + 6) / 2, abs=1e-4)
    assert figures["by_label"] == {
        "a": {"n": 4, "recall": 0.75, "precision": 0.75},
        "b": {"n": 2, "recall": 0.5, "precision": 0.5},
        "c": {"n": 0, "recall": 0.0, "precision": 0.0},
    }
    low, high = figures["interval"]["accuracy"]
    assert 0.2 < low < figures["accuracy"] < high <= 1


def test_labels_that_are_always_right_are_worth_showing_and_the_commonest_alone_is_not():
    labels = list("aab" * 40)
    assert agreement(labels, labels)["worth"] is True
    assert agreement(labels, ["a"] * 120)["worth"] is False


def test_predicting_the_rare_label_at_the_cost_of_accuracy_is_not_worth_it():
    labels = list("a" * 90 + "b" * 10)
    predicted = list("b" * 20 + "a" * 70 + "b" * 10)
    figures = agreement(labels, predicted)
    assert figures["interval"]["macro_f1_gain"][0] > 0
    assert figures["accuracy"] < figures["baselines"]["majority"]
    assert figures["worth"] is False


def test_labels_that_are_mostly_wrong_are_not_worth_showing_whatever_they_gain():
    labels = list("abc" * 100)
    predicted = [label if i % 9 < 4 else "abc"[(i + 1) % 3] for i, label in enumerate(labels)]
    figures = agreement(labels, predicted)
    assert figures["accuracy"] > figures["baselines"]["majority"] + 0.1
    assert figures["interval"]["macro_f1_gain"][0] > 0
    assert figures["worth"] is False


def test_without_errors_no_label_is_worth_showing():
    figures = agreement([], [])
    assert (figures["n"], figures["accuracy"], figures["macro_f1"]) == (0, None, None)
    assert figures["worth"] is False


def test_an_error_without_a_predicted_label_counts_as_wrong():
    assert agreement(["a", "b"], ["a", ""])["accuracy"] == 0.5


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


def test_figures_over_nothing_are_none():
    nothing, nowhere = np.zeros(0, dtype=bool), np.zeros(0, dtype=np.int64)
    for report in (
        binary_agreement(nothing, np.zeros(0), nothing, nowhere, 3),
        pairwise_agreement(np.zeros(0), nowhere, 3),
        label_agreement([], [], NAMES, nowhere, 3),
    ):
        assert report["n"] == 0
        assert set(report["interval"].values()) == {None}
        assert all(value is None for name, value in report.items() if "accuracy" in name or "f1" in name)


def test_perfect_probabilities_have_hardly_an_error_beyond_chance_and_wrong_ones_have_theirs():
    rng = np.random.default_rng(0)
    errors = []
    for _ in range(50):
        p = rng.random(200)
        labels = rng.random(200) < p
        errors.append((calibration_error(p, labels), calibration_error_beyond_chance(p, labels)))
    raw, beyond = np.mean(errors, axis=0)
    assert raw > 0.05
    assert beyond < 0.03
    p = rng.uniform(0.3, 0.7, 20_000)
    assert calibration_error_beyond_chance(p, rng.random(20_000) < p - 0.2) == pytest.approx(0.2, abs=0.02)
    assert calibration_error_beyond_chance(np.zeros(0), np.zeros(0, dtype=bool)) == 0
