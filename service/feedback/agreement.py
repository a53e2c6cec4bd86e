"""How far people agree with each other, and the reward models with people.

Krippendorff's alpha (Hayes & Krippendorff 2007) on whether each segment has an error of a category, and the F1 of the
words that two people marked with a label. Only responses that several people annotated say anything of people; of an
annotator's versions of one response the last counts, which is for the caller to choose.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rewards.categories import BUILT_IN, SPAN_LABELS, Category
from rewards.segmentation import Span, segments
from rewards.statistics.agreement_with_people import macro_f1

_WORD = re.compile(r"\S+")
WHOLE: Category = "completeness"
"""The category of which a response as a whole is judged: whether information is missing."""
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Judgement:
    """What one person said of one response."""

    response_id: str
    text: str
    annotator: str
    spans: tuple[tuple[str, int, int], ...]
    """Label, start and end: code points, end exclusive."""
    missing: bool
    """Whether information is missing."""
    created: datetime


def alpha(ratings: Sequence[Sequence[float]]) -> float | None:
    """Krippendorff's nominal alpha of raters' rows of units, nan where a rater did not rate.

    1 is perfect agreement, 0 that of chance. None where no unit was rated twice, or all ratings are the same, which
    says nothing.
    """
    import krippendorff

    table = np.asarray(ratings, dtype=np.float64)
    if table.ndim != 2 or table.size == 0:
        return None
    paired = table[:, (~np.isnan(table)).sum(0) > 1]
    if paired.size == 0 or np.nanmin(paired) == np.nanmax(paired):
        return None
    return round(float(krippendorff.alpha(reliability_data=paired, level_of_measurement="nominal")), 4)


def marks(judgement: Judgement, category: Category, pieces: Sequence[Span]) -> Mask:
    """Which pieces of the response the person marked as errors of the category: bool [pieces]."""
    if category == WHOLE:
        return np.full(len(pieces), judgement.missing)
    labels = BUILT_IN[category].labels
    spans = [(start, end) for label, start, end in judgement.spans if label in labels]
    return np.array([any(a < end and start < b for start, end in spans) for a, b in pieces], dtype=bool)


def between_people(judgements: Iterable[Judgement]) -> dict[Category, dict[str, Any]]:
    """Alpha of each category over all segments of the responses that several people judged."""
    shared = _shared(judgements)
    people = sorted({one.annotator for several in shared for one in several})
    figures = {}
    for category in BUILT_IN:
        columns: list[NDArray[np.float64]] = []
        for several in shared:
            pieces = segments(several[0].text, BUILT_IN[category].density)
            block = np.full((len(people), len(pieces)), np.nan)
            for one in several:
                block[people.index(one.annotator)] = marks(one, category, pieces)
            columns.append(block)
        table = np.concatenate(columns, axis=1) if columns else np.zeros((0, 0))
        figures[category] = {"alpha": alpha(table.tolist()), "units": int(table.shape[1]), "responses": len(shared)}
    return figures


def span_f1(judgements: Iterable[Judgement], of: str | None = None) -> dict[str, dict[str, Any]]:
    """By label, the F1 of the words that two people marked with it, over all pairs of people who judged a response.

    With `of`, only pairs with that person. F1 is 2 |A and B| / (|A| + |B|); None where nobody marked the label.
    """
    both: dict[str, int] = defaultdict(int)
    marked: dict[str, int] = defaultdict(int)
    for several in _shared(judgements):
        words = [match.span() for match in _WORD.finditer(several[0].text)]
        for one, other in combinations(several, 2):
            if of is not None and of not in (one.annotator, other.annotator):
                continue
            for label in SPAN_LABELS:
                a, b = _words(one, label, words), _words(other, label, words)
                both[label] += len(a & b)
                marked[label] += len(a) + len(b)
    return {
        label: {"f1": round(2 * both[label] / marked[label], 4) if marked[label] else None, "words": marked[label]}
        for label in SPAN_LABELS
    }


def _words(judgement: Judgement, label: str, words: Sequence[Span]) -> set[int]:
    spans = [(start, end) for name, start, end in judgement.spans if name == label]
    return {i for i, (a, b) in enumerate(words) if any(a < end and start < b for start, end in spans)}


def by_annotator(judgements: Sequence[Judgement]) -> dict[str, dict[str, Any]]:
    """For each person: how much they judged, and their agreement with all others on the responses that they share."""
    found = {}
    for name in sorted({one.annotator for one in judgements}):
        own = [one for one in judgements if one.annotator == name]
        seen = {one.response_id for one in own}
        shared = [one for one in judgements if one.response_id in seen]
        found[name] = {
            "annotations": len(own),
            "categories": {
                category: {"alpha": alpha_with(name, shared, category)} for category in BUILT_IN
            },
            "spans": span_f1(shared, of=name),
        }  # fmt: skip
    return found


def alpha_with(name: str, judgements: Iterable[Judgement], category: Category) -> float | None:
    """Alpha of one person with each other person in turn, all such pairs of ratings together."""
    rows: list[list[float]] = [[], []]
    for several in _shared(judgements):
        pieces = segments(several[0].text, BUILT_IN[category].density)
        for own in (one for one in several if one.annotator == name):
            for other in (one for one in several if one.annotator != name):
                rows[0] += marks(own, category, pieces).tolist()
                rows[1] += marks(other, category, pieces).tolist()
    return alpha(rows)


def over_time(judgements: Iterable[Judgement]) -> list[dict[str, Any]]:
    """Agreement by ISO week, a response counting in the week in which its second person judged it."""
    weeks: dict[str, list[Judgement]] = defaultdict(list)
    for several in _shared(judgements):
        year, week, _ = sorted(one.created for one in several)[1].isocalendar()
        weeks[f"{year}-W{week:02d}"] += several
    return [
        {"week": week, "categories": between_people(some), "spans": span_f1(some)}
        for week, some in sorted(weeks.items())
    ]


def models_with_people(
    judgements: Iterable[Judgement], scored: Mapping[str, Mapping[str, Any]]
) -> dict[Category, dict[str, Any]]:
    """Agreement of the reward models with people: alpha, accuracy and macro-F1 over the segments that were scored.

    `scored` has the `scores` of responses by id, as GET /responses/{id} shows them. Each person's judgement of a
    response counts.
    """
    figures = {}
    judgements = [one for one in judgements if one.response_id in scored]
    for category in BUILT_IN:
        people: list[bool] = []
        models: list[bool] = []
        for one in judgements:
            judged = scored[one.response_id].get(category, {}).get("segments", [])
            people += marks(one, category, [(s["start"], s["end"]) for s in judged]).tolist()
            models += [bool(s["error"]) for s in judged]
        truth, said = np.array(people, dtype=bool), np.array(models, dtype=bool)
        figures[category] = {
            "alpha": alpha([people, models]),
            "accuracy": round(float((truth == said).mean()), 4) if people else None,
            "macro_f1": round(macro_f1(truth, said), 4) if people else None,
            "units": len(people),
        }
    return figures


def report(judgements: Sequence[Judgement], scored: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """All of it: what the page shows and `fgctl feedback stats --json` prints."""
    return {
        "people": {"categories": between_people(judgements), "spans": span_f1(judgements)},
        "annotators": by_annotator(judgements),
        "weeks": over_time(judgements),
        "models": models_with_people(judgements, scored),
    }


def _shared(judgements: Iterable[Judgement]) -> list[list[Judgement]]:
    """The judgements of each response that several people judged."""
    responses: dict[str, dict[str, Judgement]] = defaultdict(dict)
    for one in judgements:
        responses[one.response_id][one.annotator] = one
    return [list(people.values()) for people in responses.values() if len(people) > 1]
