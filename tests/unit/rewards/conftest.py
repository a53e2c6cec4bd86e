"""Feedback tables on made-up features whose meaning is known."""

import numpy as np
import pytest

from rewards.dataset import RESPONSES_PER_QUESTION
from rewards.features.extractor import RESPONSE_FEATURES, SEGMENT_FEATURES
from rewards.fitting.feedback_table import FeedbackTable
from rewards.fitting.labelled import Pairs, Segments

WORDS = SEGMENT_FEATURES.index("words")


def _segments(rows: int, rng: np.random.Generator, sign: float) -> Segments:
    """Three segments a row; the feature "words" decides which are errors, nearly always."""
    x = rng.normal(size=(3 * rows, len(SEGMENT_FEATURES)))
    y = sign * x[:, WORDS] + 0.3 * rng.normal(size=3 * rows) > 0
    return Segments(x, y, np.repeat(np.arange(rows), 3), np.zeros(3 * rows, dtype=bool))


def _table(rows: int, seed: int = 0, sign: float = 1.0) -> FeedbackTable:
    rng = np.random.default_rng(seed)
    responses = rng.normal(size=(RESPONSES_PER_QUESTION * rows, len(RESPONSE_FEATURES)))
    first = RESPONSES_PER_QUESTION * np.arange(rows)
    ahead = responses[first, 0] > responses[first + 1, 0]
    pairs = Pairs(np.where(ahead, first, first + 1), np.where(ahead, first + 1, first), np.arange(rows))
    missing = responses[first, 0] + 0.3 * rng.normal(size=rows) > 0
    return FeedbackTable(
        [f"{seed}-{row}" for row in range(rows)], _segments(rows, rng, sign), _segments(rows, rng, sign),
        responses, rng.integers(5, 50, size=len(responses)), missing, pairs, pairs,
    )  # fmt: skip


def _joined(left: FeedbackTable, right: FeedbackTable) -> FeedbackTable:
    rows, responses = len(left.keys), len(left.responses)

    def both(a: Segments, b: Segments) -> Segments:
        return Segments(
            np.concatenate([a.x, b.x]), np.concatenate([a.y, b.y]), np.concatenate([a.question, b.question + rows]),
            np.concatenate([a.only_relevance, b.only_relevance]),
        )  # fmt: skip

    pairs = Pairs(
        np.concatenate([left.coverage.better, right.coverage.better + responses]),
        np.concatenate([left.coverage.worse, right.coverage.worse + responses]),
        np.concatenate([left.coverage.question, right.coverage.question + rows]),
    )
    return FeedbackTable(
        left.keys + right.keys, both(left.relevance, right.relevance), both(left.factuality, right.factuality),
        np.concatenate([left.responses, right.responses]), np.concatenate([left.words, right.words]),
        np.concatenate([left.missing, right.missing]), pairs, pairs,
    )  # fmt: skip


@pytest.fixture(scope="session")
def made_up_table():
    """Makes a table of so many rows; with `sign=-1` the features mean the opposite."""
    return _table


@pytest.fixture(scope="session")
def joined():
    """Joins two tables."""
    return _joined
