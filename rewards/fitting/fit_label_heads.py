"""Fits the label heads on errors that people labelled, and keeps those whose labels are worth showing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rewards.categories import BUILT_IN, SEGMENT_CATEGORIES, Category
from rewards.dataset import FeedbackExample, question_key
from rewards.features.extractor import RESPONSE_FEATURES, SEGMENT_FEATURES
from rewards.fitting.feedback_table import FeedbackTable
from rewards.fitting.folds import group_by_question, split_folds
from rewards.fitting.segment_labels import missing_label, segment_labels
from rewards.heads.annotation_label import LabelHead, fit_label_head
from rewards.segmentation import segments
from rewards.statistics.agreement_with_people import label_agreement

Matrix = NDArray[np.float64]

STRENGTH = 0.1
"""Inverse of the L2 regularisation, chosen on other folds of the questions than those of the evaluation."""


@dataclass(frozen=True)
class LabelledErrors:
    """The N segments of a category that people marked and labelled as errors."""

    features: tuple[str, ...]
    x: Matrix
    """float64 [N, features]"""
    labels: NDArray[np.str_]
    """str [N]"""
    question: NDArray[np.int64]
    """int64 [N]: the row of feedback that each belongs to."""


def labelled_errors(examples: Sequence[FeedbackExample], table: FeedbackTable) -> dict[Category, LabelledErrors]:
    """The labelled errors of each built-in category, from feedback and its table."""
    spans = {name: [segments(e.predictions[0], BUILT_IN[name].density) for e in examples] for name in BUILT_IN}
    relevance, factuality = (
        [label for e, pieces in zip(examples, spans[name], strict=True) for label in segment_labels(e, pieces, name)]
        for name in SEGMENT_CATEGORIES
    )
    missing = [missing_label(e) for e in examples]
    questions = np.arange(len(examples))
    return {
        "relevance": _labelled(SEGMENT_FEATURES, table.relevance.x, relevance, table.relevance.question),
        "factuality": _labelled(SEGMENT_FEATURES, table.factuality.x, factuality, table.factuality.question),
        "completeness": _labelled(RESPONSE_FEATURES, table.annotated, missing, questions),
    }


def fit_label_heads(
    examples: Sequence[FeedbackExample], table: FeedbackTable
) -> tuple[dict[Category, LabelHead], dict[Category, Any]]:
    """The heads whose labels are worth showing, and every category's cross-validated agreement with people."""
    errors = labelled_errors(examples, table)
    groups = group_by_question([question_key(e.question) for e in examples])
    agreement = {name: evaluate_label_head(name, table, len(examples), groups) for name, table in errors.items()}
    heads = {name: _fit(table) for name, table in errors.items() if agreement[name]["worth"]}
    return heads, agreement


def evaluate_label_head(
    category: Category, errors: LabelledErrors, questions: int, groups: NDArray[np.int64] | None = None
) -> dict[str, Any]:
    """Cross-validated agreement with people: of heads fitted on all folds but one, on that one, pooled over folds.

    `groups` numbers the rows of feedback by question (rewards.fitting.folds.group_by_question).
    """
    predicted = np.full(len(errors.labels), "", dtype=errors.labels.dtype)
    for rest, fold in split_folds(np.arange(questions), groups=groups):
        train, test = np.isin(errors.question, rest), np.isin(errors.question, fold)
        if train.any() and test.any():
            head = _fit(_select(errors, train))
            predicted[test] = head.most_likely(errors.x[test])
    return label_agreement(
        errors.labels.tolist(), predicted.tolist(), BUILT_IN[category].labels, errors.question, questions
    )


def _fit(errors: LabelledErrors) -> LabelHead:
    return fit_label_head(errors.x, errors.labels.tolist(), errors.features, STRENGTH)


def _labelled(
    features: tuple[str, ...], x: Matrix, labels: Sequence[str | None], question: NDArray[np.int64]
) -> LabelledErrors:
    has_label = np.array([label is not None for label in labels], dtype=bool)
    return LabelledErrors(
        features, x[has_label], np.array([label for label in labels if label], dtype=np.str_), question[has_label]
    )


def _select(errors: LabelledErrors, chosen: NDArray[np.bool_]) -> LabelledErrors:
    return LabelledErrors(errors.features, errors.x[chosen], errors.labels[chosen], errors.question[chosen])
