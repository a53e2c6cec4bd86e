"""Feedback as features and labels: the table that fitting and evaluation share."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rewards.dataset import RESPONSES_PER_QUESTION, FeedbackExample, question_key
from rewards.features.extractor import RESPONSE_FEATURES, Extractor
from rewards.fitting.folds import group_by_question
from rewards.fitting.labelled import Pairs, Segments, join_segments, select_segments
from rewards.fitting.reference_table import NO_REFERENCES, ReferenceTable, select_references, tabulate_references
from rewards.fitting.segment_labels import coverage_pairs, error_labels, preference_pairs
from rewards.scores import ScoreRequest

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class FeedbackTable:
    """Q rows of feedback as features and labels. Each person's feedback on a question is a row of its own.

    R is RESPONSES_PER_QUESTION.
    """

    keys: list[str]
    """The question key of each row."""
    relevance: Segments
    factuality: Segments
    responses: Matrix
    """float64 [R Q, RESPONSE_FEATURES]: the predictions, row by row."""
    words: NDArray[np.int64]
    """int64 [R Q]: their lengths in words."""
    missing: NDArray[np.bool_]
    """bool [Q]: whether prediction 1 lacks information."""
    coverage: Pairs
    preference: Pairs
    references: ReferenceTable = NO_REFERENCES
    """What the rows' reference answers and corrected responses show beside the annotations."""

    @property
    def groups(self) -> NDArray[np.int64]:
        """int64 [Q]: the rows numbered by question (group_by_question)."""
        return group_by_question(self.keys)

    @property
    def annotated(self) -> Matrix:
        """float64 [Q, RESPONSE_FEATURES]: the annotated responses, which are the first predictions."""
        return self.responses[::RESPONSES_PER_QUESTION]


def tabulate_feedback(
    examples: Sequence[FeedbackExample], extractor: Extractor, *, references: bool = True
) -> FeedbackTable:
    """Compute features and labels of feedback; `references` are only needed to fit heads, and take longest."""
    requests = [ScoreRequest(e.question, e.passages, p) for e in examples for p in e.predictions]
    features = extractor.extract(requests)
    annotated = features[::RESPONSES_PER_QUESTION]
    relevance, factuality = [], []
    for e, f in zip(examples, annotated, strict=True):
        relevant = error_labels(e, f.sub_sentences, "relevance")
        factual = error_labels(e, f.sentences, "factuality")
        relevance.append((f.relevance, relevant, np.zeros_like(relevant)))
        factuality.append((f.factuality, factual, error_labels(e, f.sentences, "relevance") & ~factual))
    return FeedbackTable(
        keys=[question_key(e.question) for e in examples],
        relevance=join_segments(relevance),
        factuality=join_segments(factuality),
        responses=np.stack([f.response for f in features]) if features else np.zeros((0, len(RESPONSE_FEATURES))),
        words=np.array([len(r.response.split()) for r in requests], dtype=np.int64),
        missing=np.array([bool(e.missing) for e in examples], dtype=bool),
        coverage=pair_table(map(coverage_pairs, examples)),
        preference=pair_table(map(preference_pairs, examples)),
        references=tabulate_references(examples, extractor) if references else NO_REFERENCES,
    )


def response_rows(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Indices into FeedbackTable.responses of all responses of some rows, in order: int64 [n] to [R n]."""
    return np.asarray((RESPONSES_PER_QUESTION * rows[:, None] + np.arange(RESPONSES_PER_QUESTION)).ravel())


def pair_table(per_question: Iterable[list[tuple[int, int]]]) -> Pairs:
    """Pairs of predictions, 0-based, of each row of feedback in order, as one table."""
    rows = [
        (RESPONSES_PER_QUESTION * q + a, RESPONSES_PER_QUESTION * q + b, q)
        for q, pairs in enumerate(per_question)
        for a, b in pairs
    ]
    columns = np.array(rows, dtype=np.int64).reshape(-1, 3)
    return Pairs(columns[:, 0], columns[:, 1], columns[:, 2])


def select_rows(table: FeedbackTable, rows: NDArray[np.int64]) -> FeedbackTable:
    """The table of some of a table's rows."""
    responses = response_rows(rows)
    return FeedbackTable(
        keys=[table.keys[row] for row in rows],
        relevance=select_segments(table.relevance, rows),
        factuality=select_segments(table.factuality, rows),
        responses=table.responses[responses],
        words=table.words[responses],
        missing=table.missing[rows],
        coverage=_select_pairs(table.coverage, rows),
        preference=_select_pairs(table.preference, rows),
        references=select_references(table.references, rows),
    )


def _select_pairs(pairs: Pairs, rows: NDArray[np.int64]) -> Pairs:
    chosen = np.isin(pairs.question, rows)
    question = np.searchsorted(rows, pairs.question[chosen])
    shift = RESPONSES_PER_QUESTION * (question - pairs.question[chosen])
    return Pairs(pairs.better[chosen] + shift, pairs.worse[chosen] + shift, question)
