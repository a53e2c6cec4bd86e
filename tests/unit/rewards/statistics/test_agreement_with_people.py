import numpy as np
import pytest

from rewards.statistics.agreement_with_people import label_agreement

NAMES = ("a", "b", "c")


def judged(labels, said):
    return label_agreement(labels, said, NAMES, np.arange(len(labels)), len(labels))


def test_labels_are_compared_by_hand_computed_figures():
    figures = judged(list("aaaabb"), list("aaabba"))
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


def test_labels_that_are_always_right_are_worth_saying_and_the_commonest_alone_is_not():
    labels = list("aab" * 40)
    assert judged(labels, labels)["worth"] is True
    assert judged(labels, ["a"] * 120)["worth"] is False


def test_naming_the_rare_label_at_the_cost_of_accuracy_is_no_gain():
    labels = list("a" * 90 + "b" * 10)
    said = list("b" * 20 + "a" * 70 + "b" * 10)
    figures = judged(labels, said)
    assert figures["interval"]["macro_f1_gain"][0] > 0
    assert figures["accuracy"] < figures["baselines"]["majority"]
    assert figures["worth"] is False


def test_labels_that_are_mostly_wrong_are_not_worth_saying_however_much_they_gain():
    labels = list("abc" * 100)
    said = [label if i % 9 < 4 else "abc"[(i + 1) % 3] for i, label in enumerate(labels)]
    figures = judged(labels, said)
    assert figures["accuracy"] > figures["baselines"]["majority"] + 0.1
    assert figures["interval"]["macro_f1_gain"][0] > 0
    assert figures["worth"] is False


def test_without_errors_nothing_is_worth_saying():
    figures = judged([], [])
    assert (figures["n"], figures["accuracy"], figures["macro_f1"]) == (0, 0.0, 0.0)
    assert figures["worth"] is False


def test_an_error_that_no_label_is_given_is_wrong():
    assert judged(["a", "b"], ["a", ""])["accuracy"] == 0.5
