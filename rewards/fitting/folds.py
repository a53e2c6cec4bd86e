"""Cross-validation folds that keep the rows of one question together."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FOLDS = 5


def group_by_question(keys: Sequence[str]) -> NDArray[np.int64]:
    """int64 [Q]: rows with the same of Q keys have the same number, the first such row's."""
    first: dict[str, int] = {}
    return np.array([first.setdefault(key, row) for row, key in enumerate(keys)], dtype=np.int64)


def split_folds(
    questions: NDArray[np.int64], count: int = FOLDS, groups: NDArray[np.int64] | None = None
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Split rows into (rest, fold) pairs, at random with a fixed seed, whole questions together.

    `groups` says by row of the table which rows are of the same question (`grouped`); all differ by default.
    """
    group = questions if groups is None else groups[questions]
    _, first = np.unique(group, return_index=True)
    shuffled = np.random.default_rng(0).permutation(group[np.sort(first)])
    parts = np.array_split(shuffled, min(count, len(shuffled)))
    own = [np.isin(group, part) for part in parts]
    return [(np.sort(questions[~fold]), np.sort(questions[fold])) for fold in own]
