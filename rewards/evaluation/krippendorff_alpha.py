"""Krippendorff's alpha of the models with people, and of people with themselves.

Each answer was annotated by one person, so that the agreement of two people cannot be had from the feedback. What can
be had is how well an annotator's marks agree with the same annotator's correction: what is marked irrelevant should be
gone from the corrected response, and what is marked wrong should not stand there as it was. A model that agrees with
the marks about as well as the corrections do has little left to learn from them.
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
"""A segment is kept when more than this share of its word pairs stands in the corrected response."""


def krippendorff_alpha(one: Mask, other: Mask) -> float | None:
    """Krippendorff's alpha of two sets of binary labels [N] (Hayes & Krippendorff 2007).

    1 is perfect agreement, 0 that of chance. None where all labels are the same, which says nothing.
    """
    import krippendorff

    ratings = np.stack([one, other]).astype(int)
    if ratings.size == 0 or ratings.min() == ratings.max():
        return None
    return round(float(krippendorff.alpha(reliability_data=ratings, level_of_measurement="nominal")), 4)


def alpha_of_model(table: FeedbackTable, said: dict[Category, Decisions]) -> dict[Category, float | None]:
    """Alpha of each category's decisions with what people marked."""
    marked = {"relevance": table.relevance.y, "factuality": table.factuality.y, "completeness": table.missing}
    return {category: krippendorff_alpha(one.errors, marked[category]) for category, one in said.items()}


def alpha_of_corrections(examples: Sequence[FeedbackExample]) -> dict[Category, float | None]:
    """Alpha of each category's marks with what the same annotator's corrected response changed.

    Only segments that no other category's marks explain are counted: a sentence that is both irrelevant and wrong is
    gone for either reason. Information is missing, to the correction, when it has content words that the response
    lacks; answers with other errors, whose mending adds words too, are left out.
    """
    used = [e for e in examples if e.corrected.strip()]
    judged = {
        "relevance": [_segments(e, "relevance", "factuality", lambda kept, _: not kept) for e in used],
        "factuality": [_segments(e, "factuality", "relevance", lambda _, verbatim: not verbatim) for e in used],
        "completeness": [_whole(e) for e in used if not e.errors],
    }
    return {
        category: krippendorff_alpha(
            *(np.concatenate([pair[i] for pair in pairs] or [np.zeros(0, dtype=bool)]) for i in (0, 1))
        )
        for category, pairs in judged.items()
    }


def _segments(
    example: FeedbackExample, category: Category, other: Category, changed: Callable[[bool, bool], bool]
) -> tuple[Mask, Mask]:
    """Marked, and changed by the correction: bool [segments that carry no error of the other category]."""
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
