import numpy as np
import pytest

from rewards.heads.linear import fit_bradley_terry, fit_logistic


def test_unused_features_weigh_nothing():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3))
    head = fit_logistic(x, x[:, 0] + x[:, 2] > 0, ["a", "b", "c"], 1.0, used=["a", "b"])
    assert head.weight[2] == 0
    assert head.weight[0] > 1
    pairs = fit_bradley_terry(x, np.arange(0, 100), np.arange(100, 200), ["a", "b", "c"], 1.0, used=["c"])
    assert pairs.weight[:2] == (0, 0)


def test_a_row_of_weight_two_counts_like_two_rows():
    x = np.array([[0.0], [1.0], [2.0], [3.0]])
    y = np.array([False, True, False, True])
    twice = fit_logistic(x, y, ["a"], 1.0, weight=np.array([1.0, 1.0, 1.0, 2.0]))
    same = fit_logistic(np.vstack([x, x[3:]]), np.append(y, True), ["a"], 1.0)
    plain = fit_logistic(x, y, ["a"], 1.0)
    assert twice.weight == pytest.approx(same.weight)
    assert twice.weight[0] > plain.weight[0]


def test_without_both_labels_a_head_gives_the_smoothed_base_rate():
    x = np.arange(8.0)[:, None]
    head = fit_logistic(x, np.zeros(8, dtype=bool), ["a"], 1.0)
    assert head.probabilities(x) == pytest.approx(np.full(8, 0.1))


def test_the_sum_of_two_heads_adds_up_their_log_odds():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(100, 3))
    first = fit_logistic(x, x[:, 0] > 0, ["a", "b", "c"], 1.0)
    second = fit_logistic(3 * x + 2, x[:, 1] > 0.5, ["a", "b", "c"], 1.0)
    z = rng.normal(size=(10, 3))
    assert first.plus(second, 0.3).logits(z) == pytest.approx(first.logits(z) + 0.3 * second.logits(z))
