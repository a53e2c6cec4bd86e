import numpy as np

from rewards.fitting.feedback_table import pair_table, response_rows, select_rows


def test_pairs_count_the_responses_of_all_rows():
    pairs = pair_table([[(0, 1), (3, 2)], [], [(1, 0)]])
    assert pairs.better.tolist() == [0, 3, 9]
    assert pairs.worse.tolist() == [1, 2, 8]
    assert pairs.question.tolist() == [0, 0, 2]
    assert len(pair_table([]).better) == 0


def test_each_row_has_four_responses_of_which_the_first_is_annotated(made_up_table):
    assert response_rows(np.array([2, 0])).tolist() == [8, 9, 10, 11, 0, 1, 2, 3]
    table = made_up_table(3)
    np.testing.assert_array_equal(table.annotated, table.responses[[0, 4, 8]])


def test_some_rows_of_a_table_are_a_table(made_up_table, joined):
    left, right = made_up_table(12, 1), made_up_table(15, 2)
    chosen = select_rows(joined(left, right), np.arange(12, 27))
    assert chosen.keys == right.keys
    for name in ("relevance", "factuality"):
        for field in ("x", "y", "question", "only_relevance"):
            np.testing.assert_array_equal(getattr(getattr(chosen, name), field), getattr(getattr(right, name), field))
    for field in ("better", "worse", "question"):
        np.testing.assert_array_equal(getattr(chosen.coverage, field), getattr(right.coverage, field))
    np.testing.assert_array_equal(chosen.responses, right.responses)
