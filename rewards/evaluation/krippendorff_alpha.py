"""Krippendorff's alpha: the agreement of models with people, and of people with themselves.

Each answer was annotated by one person, so the feedback does not show how well two people agree. Instead, an
annotator's marks are compared with the same annotator's correction: segments marked irrelevant should be gone from the
corrected response, and segments marked wrong should have changed. A model that agrees with the marks about as well as
the corrections do has little left to learn from them.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from rewards.categories import BUILT_IN, Category
from rewards.dataset import FeedbackExample
from rewards.evaluation.evaluate import Decisions
from rewards.features.words import content_words, ngrams, share_in, tokens_of
from rewards.fitting.feedback_table import FeedbackTable
from rewards.fitting.segment_labels import error_labels
from rewards.segmentation import segments

Mask = NDArray[np.bool_]

_KEPT = 0.5
"""A segment counts as kept if more than this share of its word pairs is in the corrected response."""


def krippendorff_alpha(labels: Mask, other_labels: Mask) -> float | None:
    """Krippendorff's alpha of two sets of binary labels [N] (Hayes & Krippendorff 2007).

    1 is perfect agreement, 0 is agreement by chance. None if all labels are the same, which tells nothing.
    """
    import krippendorff

    ratings = np.stack([labels, other_labels]).astype(int)
    if ratings.size == 0 or ratings.min() == ratings.max():
        return None
    return round(float(krippendorff.alpha(reliability_data=ratings, level_of_measurement="nominal")), 4)


def alpha_of_model(table: FeedbackTable, decisions: dict[Category, Decisions]) -> dict[Category, float | None]:
    """Alpha between each category's decisions and people's marks."""
    marked = {"relevance": table.relevance.y, "factuality": table.factuality.y, "completeness": table.missing}
    return {category: krippendorff_alpha(model.errors, marked[category]) for category, model in decisions.items()}


def alpha_of_corrections(examples: Sequence[FeedbackExample]) -> dict[Category, float | None]:
    """Alpha between each category's marks and what the same annotator's corrected response changed.

    Segments with marks of the other category are left out: a sentence that is both irrelevant and wrong is gone for
    either reason. The correction shows missing information if it has content words that the response lacks; answers
    with other errors are left out, since fixing those adds words too.
    """
    used = [e for e in examples if e.corrected.strip()]
    pairs_of_labels = {
        "relevance": [_segments(e, "relevance", "factuality", lambda is_kept, _: not is_kept) for e in used],
        "factuality": [_segments(e, "factuality", "relevance", lambda _, is_verbatim: not is_verbatim) for e in used],
        "completeness": [_whole(e) for e in used if not e.errors],
    }
    return {
        category: krippendorff_alpha(
            *(np.concatenate([pair[i] for pair in pairs] or [np.zeros(0, dtype=bool)]) for i in (0, 1))
        )
        for category, pairs in pairs_of_labels.items()
    }


def _segments(
    example: FeedbackExample, category: Category, other: Category, changed: Callable[[bool, bool], bool]
) -> tuple[Mask, Mask]:
    """Whether segments are marked, and whether the correction changed them: bool [segments].

    Segments with an error of the other category are left out.
    """
    text = example.predictions[0]
    spans = segments(text, BUILT_IN[category].density)
    corrected = frozenset(ngrams(tokens_of(example.corrected), 2))
    gone = np.array(
        [
            changed(share_in(ngrams(tokens_of(text[a:b]), 2), corrected) > _KEPT, text[a:b] in example.corrected)
            for a, b in spans
        ],
        dtype=bool,
    )
    alone = ~error_labels(example, spans, other)
    return error_labels(example, spans, category)[alone], gone[alone]


def _whole(example: FeedbackExample) -> tuple[Mask, Mask]:
    added = content_words(example.corrected) - content_words(example.predictions[0])
    return np.array([bool(example.missing)]), np.array([bool(added)])
