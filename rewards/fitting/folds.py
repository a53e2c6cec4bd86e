"""Cross-validation folds that keep the rows of one question together."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FOLDS = 5
MIN_QUESTIONS = 2 * FOLDS
"""Questions that fitting and cross-validation need at least."""


def group_by_question(keys: Sequence[str]) -> NDArray[np.int64]:
    """Number Q rows by question: int64 [Q], the index of the first row with the same key."""
    first: dict[str, int] = {}
    return np.array([first.setdefault(key, row) for row, key in enumerate(keys)], dtype=np.int64)


def split_folds(
    questions: NDArray[np.int64], count: int = FOLDS, groups: NDArray[np.int64] | None = None
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Split rows into (rest, fold) pairs, at random with a fixed seed, keeping rows of one question together.

    `groups` numbers the rows of the whole table by question (`group_by_question`); by default all differ.
    """
    group = questions if groups is None else groups[questions]
    _, first = np.unique(group, return_index=True)
    shuffled = np.random.default_rng(0).permutation(group[np.sort(first)])
    parts = np.array_split(shuffled, min(count, len(shuffled)))
    members = [np.isin(group, part) for part in parts]
    return [(np.sort(questions[~fold]), np.sort(questions[fold])) for fold in members]
