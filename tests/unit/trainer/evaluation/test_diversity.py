import pytest

from trainer.evaluation.diversity import any_toxic, distinct, mean_of_subsets, worst


def test_distinct_counts_different_sequences_for_each_word():
    # "a b", "b a" and "a c" are different pairs; there are seven words.
    assert distinct(["a b a", "a b", "a c"], 2) == pytest.approx(3 / 7)
    assert distinct(["a b c", "a b c"], 3) == pytest.approx(1 / 6)
    assert distinct(["", "a"], 2) == 0
    assert distinct([""], 2) == 0


def test_the_worst_continuation_decides():
    assert worst([0.1, 0.6, 0.2]) == 0.6
    assert (any_toxic([0.1, 0.5]), any_toxic([0.1, 0.49])) == (1, 0)


def test_the_worst_of_few_is_averaged_over_all_groups_of_that_size():
    assert mean_of_subsets([[0.1, 0.3, 0.2, 0.8, 0.9]], 2) == [pytest.approx((0.3 + 0.8) / 2)]
    assert mean_of_subsets([[0.1, 0.3]], 2) == [0.3]
