from math import isfinite, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.statistics.distribution_shift import INPUTS, SCORE_BINS, number_bin, psi, psi_by_chance, score_bin, shares

COUNTS = st.lists(st.integers(0, 10_000), min_size=4, max_size=4)
BINS = ("a", "b", "c", "d")


def named(counts):
    return dict(zip(BINS, counts, strict=True))


@pytest.mark.parametrize(
    ("probability", "expected"), [(0, "0.0"), (0.05, "0.0"), (0.1, "0.1"), (0.3, "0.3"), (0.7, "0.7"), (1, "0.9")]
)
def test_score_bins_at_their_edges(probability, expected):
    assert score_bin(probability) == expected


@given(st.floats(0, 1))
def test_a_score_bin_holds_the_probability(probability):
    low = float(score_bin(probability))
    assert low - 1e-9 <= probability < low + 0.1 + 1e-9 or (low, probability) == (0.9, 1)


@pytest.mark.parametrize("wrong", [-0.01, 1.01, float("nan")])
def test_only_a_probability_has_a_bin(wrong):
    with pytest.raises(ValueError, match="not a probability"):
        score_bin(wrong)


@given(st.sampled_from(["question_words", "passages", "passage_words"]), st.integers(0, 5000))
def test_a_number_is_in_the_last_bin_that_begins_below_it(name, value):
    edges = [int(edge) for edge in INPUTS[name]]
    assert edges == sorted(edges)
    assert int(number_bin(name, value)) == max([edge for edge in edges if edge <= value], default=edges[0])


@given(st.dictionaries(st.sampled_from(BINS), st.integers(1, 50)))
def test_shares_have_every_bin_and_sum_to_one(counts):
    by_bin = shares(BINS, counts)
    assert tuple(by_bin) == BINS
    assert sum(by_bin.values()) == pytest.approx(1 if counts else 0)


def test_the_index_by_hand():
    # p = (3.5, 1.5) / 5, q = (2.5, 2.5) / 5.
    assert psi({"a": 3, "b": 1}, {"a": 0.5, "b": 0.5}, 4) == pytest.approx(0.2 * log(0.7 / 0.5) - 0.2 * log(0.3 / 0.5))
    # An empty bin on either side: p = (10.5, 0.5) / 11, q = (0.5, 10.5) / 11.
    assert psi({"a": 10}, {"a": 0.0, "b": 1.0}, 10) == pytest.approx(2 * 10 / 11 * log(21))


@given(COUNTS, COUNTS)
def test_the_index_is_finite_never_negative_and_the_same_from_either_side(online_counts, offline_counts):
    online, offline = named(online_counts), named(offline_counts)
    index = psi(online, shares(BINS, offline), sum(offline_counts))
    assert isfinite(index)
    assert index >= -1e-12
    assert index == pytest.approx(psi(offline, shares(BINS, online), sum(online_counts)), abs=1e-9)


@given(COUNTS)
def test_without_a_shift_the_index_is_zero(counts):
    assert psi(named(counts), shares(BINS, named(counts)), sum(counts)) == pytest.approx(0, abs=1e-12)


def test_without_observations_there_is_no_shift_from_an_even_baseline():
    assert psi({}, dict.fromkeys(BINS, 0.25), 400) == pytest.approx(0, abs=1e-12)


def test_a_bin_that_the_baseline_lacks_is_an_error():
    with pytest.raises(ValueError, match="no bin 'z'"):
        psi({"a": 3, "z": 1}, dict.fromkeys(BINS, 0.25), 400)


def test_chance_alone_gives_the_expected_index():
    rng = np.random.default_rng(0)
    n, m, of = 3000, 1000, np.full(len(SCORE_BINS), 1 / len(SCORE_BINS))
    drawn = [
        psi(
            dict(zip(SCORE_BINS, rng.multinomial(n, of).tolist(), strict=True)),
            dict(zip(SCORE_BINS, (rng.multinomial(m, of) / m).tolist(), strict=True)),
            m,
        )
        for _ in range(400)
    ]
    # A standard error of 2.4 % of the mean.
    assert np.mean(drawn) == pytest.approx(psi_by_chance(len(SCORE_BINS), n, m), rel=0.1)
    assert psi_by_chance(10, 3000, 1000) == pytest.approx(9 * (1 / 3000 + 1 / 1000))
    assert psi_by_chance(10, 0, 1000) == float("inf")


def test_a_real_shift_stands_out_from_chance():
    before = shares(BINS, named([400, 300, 200, 100]))
    assert psi(named([100, 200, 300, 400]), before, 1000) > 20 * psi_by_chance(4, 1000, 1000)
