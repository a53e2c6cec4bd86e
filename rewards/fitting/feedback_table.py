"""Feedback as features and labels: the table that fitting and evaluation share."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rewards.dataset import FeedbackExample, question_key
from rewards.features.extractor import RESPONSE_FEATURES, SEGMENT_FEATURES, Extractor
from rewards.fitting.folds import group_by_question
from rewards.fitting.segment_labels import coverage_pairs, error_labels, preference_pairs
from rewards.scores import ScoreRequest

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Segments:
    """All segments of one category: N rows."""

    x: Matrix
    """float64 [N, SEGMENT_FEATURES]"""
    y: NDArray[np.bool_]
    """bool [N]: marked as an error of the category."""
    question: NDArray[np.int64]
    """int64 [N]: the feedback row each belongs to."""
    only_relevance: NDArray[np.bool_]
    """bool [N]: overlaps relevance spans and no factuality span; the paper leaves such sentences out."""


@dataclass(frozen=True)
class Pairs:
    """Pairs of responses, P rows, as indices into FeedbackTable.responses."""

    better: NDArray[np.int64]
    worse: NDArray[np.int64]
    question: NDArray[np.int64]


@dataclass(frozen=True)
class FeedbackTable:
    """Feedback of Q rows as features and labels. Several people's feedback on one question is as many rows."""

    keys: list[str]
    """The question's key, of each row."""
    relevance: Segments
    factuality: Segments
    responses: Matrix
    """float64 [4 Q, RESPONSE_FEATURES]: the predictions, question by question."""
    words: NDArray[np.int64]
    """int64 [4 Q]: their lengths in words."""
    missing: NDArray[np.bool_]
    """bool [Q]: information is missing from prediction 1."""
    coverage: Pairs
    preference: Pairs

    @property
    def groups(self) -> NDArray[np.int64]:
        """int64 [Q]: which rows are of the same question (grouped)."""
        return group_by_question(self.keys)


def tabulate_feedback(examples: Sequence[FeedbackExample], extractor: Extractor) -> FeedbackTable:
    """Features and labels of the feedback."""
    requests = [ScoreRequest(e.question, e.passages, p) for e in examples for p in e.predictions]
    features = extractor.extract(requests)
    first = features[::4]
    relevance, factuality = [], []
    for e, f in zip(examples, first, strict=True):
        relevant = error_labels(e, f.sub_sentences, "relevance")
        factual = error_labels(e, f.sentences, "factuality")
        relevance.append((f.relevance, relevant, np.zeros_like(relevant)))
        factuality.append((f.factuality, factual, error_labels(e, f.sentences, "relevance") & ~factual))
    return FeedbackTable(
        keys=[question_key(e.question) for e in examples],
        relevance=_segments(relevance),
        factuality=_segments(factuality),
        responses=np.stack([f.response for f in features]) if features else np.zeros((0, len(RESPONSE_FEATURES))),
        words=np.array([len(r.response.split()) for r in requests], dtype=np.int64),
        missing=np.array([bool(e.missing) for e in examples], dtype=bool),
        coverage=_pairs(map(coverage_pairs, examples)),
        preference=_pairs(map(preference_pairs, examples)),
    )


def _segments(parts: list[tuple[Matrix, NDArray[np.bool_], NDArray[np.bool_]]]) -> Segments:
    return Segments(
        x=np.concatenate([x for x, _, _ in parts]) if parts else np.zeros((0, len(SEGMENT_FEATURES))),
        y=np.concatenate([y for _, y, _ in parts]) if parts else np.zeros(0, dtype=bool),
        question=np.repeat(np.arange(len(parts)), [len(y) for _, y, _ in parts]),
        only_relevance=np.concatenate([o for _, _, o in parts]) if parts else np.zeros(0, dtype=bool),
    )


def _pairs(per_question: Iterable[list[tuple[int, int]]]) -> Pairs:
    rows = [(4 * q + a, 4 * q + b, q) for q, pairs in enumerate(per_question) for a, b in pairs]
    columns = np.array(rows, dtype=np.int64).reshape(-1, 3)
    return Pairs(columns[:, 0], columns[:, 1], columns[:, 2])
