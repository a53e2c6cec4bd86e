import numpy as np

from rewards.fitting.folds import group_by_question, split_folds


def test_rows_are_numbered_by_question():
    assert group_by_question(["a", "b", "a", "c", "b"]).tolist() == [0, 1, 0, 3, 1]
    assert group_by_question([]).tolist() == []


def test_folds_keep_rows_of_one_question_together():
    groups = np.array([0, 1, 0, 3, 4, 3, 6, 7])
    parts = split_folds(np.arange(8), 3, groups)
    for rest, fold in parts:
        assert not set(groups[rest]) & set(groups[fold])
        assert sorted([*rest, *fold]) == list(range(8))
    assert sorted(row for _, fold in parts for row in fold) == list(range(8))


def test_without_shared_questions_rows_are_split_as_for_the_shipped_reward_models():
    rows = np.arange(23)
    expected = [np.sort(part) for part in np.array_split(np.random.default_rng(0).permutation(rows), 5)]
    for groups in (None, rows):
        for (rest, fold), expected_fold in zip(split_folds(rows, 5, groups), expected, strict=True):
            np.testing.assert_array_equal(fold, expected_fold)
            np.testing.assert_array_equal(rest, np.setdiff1d(rows, expected_fold))
