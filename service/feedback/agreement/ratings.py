"""One person's annotation of one response, and which of its segments it marks."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from rewards.categories import BUILT_IN, Category
from rewards.segmentation import Span

WHOLE: Category = "completeness"
"""The category that people rate once for the whole response: whether information is missing."""
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Rating:
    """One person's annotation of one response, as far as agreement needs it."""

    response_id: str
    text: str
    annotator: str
    spans: tuple[tuple[str, int, int], ...]
    """Label, start and end: code points, end exclusive."""
    missing: bool
    """Whether information is missing."""
    created: datetime
    question: str = ""


def error_mask(rating: Rating, category: Category, pieces: Sequence[Span]) -> Mask:
    """Which segments the person marked as errors of the category: bool [segments]."""
    if category == WHOLE:
        return np.full(len(pieces), rating.missing)
    labels = BUILT_IN[category].labels
    spans = [(start, end) for label, start, end in rating.spans if label in labels]
    return np.array([any(a < end and start < b for start, end in spans) for a, b in pieces], dtype=bool)


def shared(ratings: Iterable[Rating]) -> list[list[Rating]]:
    """The ratings of each response that several people annotated, the last of each person."""
    responses: dict[str, dict[str, Rating]] = defaultdict(dict)
    for rating in ratings:
        responses[rating.response_id][rating.annotator] = rating
    return [list(people.values()) for people in responses.values() if len(people) > 1]
