"""From annotations to training labels: which segments have an error, with which label, and which response is better."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rewards.categories import BUILT_IN, MISSING_LABELS, Category, category_of
from rewards.dataset import PAIRS, FeedbackExample, SpanError
from rewards.features.words import content_words
from rewards.segmentation import Span

MIN_SPAN_WORDS = 5
"""Relevance spans of fewer words are dropped, as in Wu et al. 2023."""
COVERAGE_MARGIN = 1e-9
"""Coverages that differ by less are ties."""


def error_labels(
    example: FeedbackExample, spans: Sequence[Span], category: Category, label: str | None = None
) -> NDArray[np.bool_]:
    """Which spans of prediction 1 overlap an error span of the category, or of one of its labels: bool [spans]."""
    marked = [(e.start, e.end) for e in _marked(example, category) if label in (None, e.label)]
    return np.array([any(a < end and start < b for start, end in marked) for a, b in spans], dtype=bool)


def segment_labels(example: FeedbackExample, spans: Sequence[Span], category: Category) -> list[str | None]:
    """The category's label that covers most of each span of prediction 1; None if no error span overlaps it.

    Of labels that cover equally much, the first in the category's order is taken.
    """
    marked = _marked(example, category)
    chosen: list[str | None] = []
    for a, b in spans:
        covered = {
            label: len({i for e in marked if e.label == label for i in range(max(a, e.start), min(b, e.end))})
            for label in BUILT_IN[category].labels
        }
        best = max(covered, key=lambda label: covered[label])
        chosen.append(best if covered[best] else None)
    return chosen


def missing_label(example: FeedbackExample) -> str | None:
    """The most serious label of information that prediction 1 lacks; None if it lacks none."""
    labels = {m.label for m in example.missing}
    return next((label for label in MISSING_LABELS if label in labels), None)


def _marked(example: FeedbackExample, category: Category) -> list[SpanError]:
    """The error spans of a category, without relevance spans that are too short."""
    text = example.predictions[0]
    return [
        e
        for e in example.errors
        if category_of(e.label) == category
        and (category != "relevance" or len(text[e.start : e.end].split()) >= MIN_SPAN_WORDS)
    ]


def covered_content(corrected: str, response: str) -> float:
    """Share of the corrected response's content words that a response has; 0 if it has no content words."""
    wanted = content_words(corrected)
    return len(wanted & content_words(response)) / len(wanted) if wanted else 0.0


def coverage_pairs(example: FeedbackExample) -> list[tuple[int, int]]:
    """Pairs (better, worse) of predictions, 0-based, by covered content; ties are left out."""
    coverage = [covered_content(example.corrected, p) for p in example.predictions]
    pairs = []
    for a, b in PAIRS:
        if abs(coverage[a - 1] - coverage[b - 1]) > COVERAGE_MARGIN:
            pairs.append((a - 1, b - 1) if coverage[a - 1] > coverage[b - 1] else (b - 1, a - 1))
    return pairs


def preference_pairs(example: FeedbackExample) -> list[tuple[int, int]]:
    """Pairs (better, worse) of predictions, 0-based, by people's preference; ties are left out."""
    return [
        (a - 1, b - 1) if value == 1 else (b - 1, a - 1)
        for (a, b), value in zip(PAIRS, example.preference, strict=True)
        if value
    ]
