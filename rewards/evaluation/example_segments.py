"""Segments that a model gets right and wrong, as examples for the model card."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rewards.categories import BUILT_IN, Category
from rewards.dataset import FeedbackExample
from rewards.evaluation.evaluate import Decisions
from rewards.fitting.segment_labels import error_labels
from rewards.segmentation import segments

Mask = NDArray[np.bool_]

KINDS = ("found", "missed", "rightly passed", "false alarm")
"""Marked and predicted, only marked, neither, and only predicted as an error."""
_WORDS = range(8, 31)
"""Number of words of an example: enough to be understood, few enough for a table."""


def pick_examples(
    examples: Sequence[FeedbackExample], category: Category, decisions: Decisions
) -> list[dict[str, Any]]:
    """For each of KINDS, the segment of prediction 1 on which the model is most certain, if there is any.

    `decisions` are the model's decisions on all segments, example by example.
    """
    pieces, labels = [], []
    for example in examples:
        spans = segments(example.predictions[0], BUILT_IN[category].density)
        pieces += [(example, span) for span in spans]
        labels.append(error_labels(example, spans, category))
    marked = np.concatenate(labels) if labels else np.zeros(0, dtype=bool)
    shown = np.array([len(e.predictions[0][a:b].split()) in _WORDS for e, (a, b) in pieces], dtype=bool)
    cells = (
        marked & decisions.errors,
        marked & ~decisions.errors,
        ~marked & ~decisions.errors,
        ~marked & decisions.errors,
    )
    rows = []
    for kind, cell in zip(KINDS, cells, strict=True):
        candidates = np.flatnonzero(cell & shown)
        if not len(candidates):
            continue
        surest = int(candidates[np.argmax(np.abs(decisions.probabilities[candidates] - 0.5))])
        example, (start, end) = pieces[surest]
        rows.append(
            {
                "kind": kind,
                "question": example.question,
                "segment": example.predictions[0][start:end],
                "marked": [e.label for e in example.errors if e.start < end and start < e.end],
                "probability": round(float(decisions.probabilities[surest]), 4),
            }
        )
    return rows
