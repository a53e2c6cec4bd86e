"""Segments that show what a model gets right and wrong, for its card."""

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
"""Marked and judged an error, marked only, neither, and judged an error only."""
_WORDS = range(8, 31)
"""Segments of so many words are shown: long enough to be understood, short enough for a table."""


def pick_examples(examples: Sequence[FeedbackExample], category: Category, said: Decisions) -> list[dict[str, Any]]:
    """For each of KINDS, the segment of prediction 1 on which the model is surest, if there is any.

    `said` are the model's decisions on all segments, example by example.
    """
    pieces, labels = [], []
    for example in examples:
        spans = segments(example.predictions[0], BUILT_IN[category].density)
        pieces += [(example, span) for span in spans]
        labels.append(error_labels(example, spans, category))
    marked = np.concatenate(labels) if labels else np.zeros(0, dtype=bool)
    shown = np.array([len(e.predictions[0][a:b].split()) in _WORDS for e, (a, b) in pieces], dtype=bool)
    cells = (marked & said.errors, marked & ~said.errors, ~marked & ~said.errors, ~marked & said.errors)
    rows = []
    for kind, cell in zip(KINDS, cells, strict=True):
        found = np.flatnonzero(cell & shown)
        if not len(found):
            continue
        surest = int(found[np.argmax(np.abs(said.probabilities[found] - 0.5))])
        example, (start, end) = pieces[surest]
        rows.append(
            {
                "kind": kind,
                "question": example.question,
                "segment": example.predictions[0][start:end],
                "marked": [e.label for e in example.errors if e.start < end and start < e.end],
                "probability": round(float(said.probabilities[surest]), 4),
            }
        )
    return rows
