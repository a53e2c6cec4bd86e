"""Segments and pairs of responses with their labels, as arrays."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rewards.features.extractor import SEGMENT_FEATURES

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Segments:
    """All N segments of one category."""

    x: Matrix
    """float64 [N, SEGMENT_FEATURES]"""
    y: NDArray[np.bool_]
    """bool [N]: whether people marked an error of the category."""
    question: NDArray[np.int64]
    """int64 [N]: the row of feedback that each belongs to."""
    only_relevance: NDArray[np.bool_]
    """bool [N]: overlaps relevance spans but no factuality span. Wu et al. 2023 leave such sentences out."""


@dataclass(frozen=True)
class Pairs:
    """P pairs of responses, as rows of a table of responses."""

    better: NDArray[np.int64]
    worse: NDArray[np.int64]
    question: NDArray[np.int64]


def join_segments(parts: Sequence[tuple[Matrix, NDArray[np.bool_], NDArray[np.bool_]]]) -> Segments:
    """The segments of each row of feedback in order, as (x, y, only_relevance), in one table."""
    return Segments(
        x=np.concatenate([x for x, _, _ in parts]) if parts else np.zeros((0, len(SEGMENT_FEATURES))),
        y=np.concatenate([y for _, y, _ in parts]) if parts else np.zeros(0, dtype=bool),
        question=np.repeat(np.arange(len(parts)), [len(y) for _, y, _ in parts]),
        only_relevance=np.concatenate([o for _, _, o in parts]) if parts else np.zeros(0, dtype=bool),
    )


def select_segments(segments: Segments, rows: NDArray[np.int64]) -> Segments:
    """The segments of some rows of feedback, which are numbered from 0 in their order."""
    chosen = np.isin(segments.question, rows)
    return Segments(
        x=segments.x[chosen],
        y=segments.y[chosen],
        question=np.searchsorted(rows, segments.question[chosen]),
        only_relevance=segments.only_relevance[chosen],
    )


def select_pairs(pairs: Pairs, rows: NDArray[np.int64]) -> Pairs:
    """The pairs of some rows of feedback, as they are."""
    chosen = np.isin(pairs.question, rows)
    return Pairs(pairs.better[chosen], pairs.worse[chosen], pairs.question[chosen])
