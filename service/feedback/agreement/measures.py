"""How far people agree with each other, and the reward models with people.

Two measures: Krippendorff's alpha (Hayes & Krippendorff 2007) on whether each segment has an error of a category, and
the F1 of the words that two people marked with the same label. Only responses with annotations by several people count
for agreement between people. Callers pass each annotator's latest version.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rewards.categories import BUILT_IN, SPAN_LABELS, Category
from rewards.segmentation import Span, segments
from rewards.statistics.agreement_with_people import macro_f1
from service.feedback.agreement.differing import differing, verdict
from service.feedback.agreement.ratings import Rating, error_mask, shared

_UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")
"""In scripts without spaces between words (Chinese, Japanese, Thai and others) every character counts as one."""


def alpha(ratings: Sequence[Sequence[float]]) -> float | None:
    """Krippendorff's nominal alpha of ratings [raters, units], nan where a rater did not rate a unit.

    1 is perfect agreement, 0 that of chance. None where no unit was rated twice or all ratings are equal, since alpha
    is then undefined.
    """
    import krippendorff

    table = np.asarray(ratings, dtype=np.float64)
    if table.ndim != 2 or table.size == 0:
        return None
    paired = table[:, (~np.isnan(table)).sum(0) > 1]
    if paired.size == 0 or np.nanmin(paired) == np.nanmax(paired):
        return None
    return round(float(krippendorff.alpha(reliability_data=paired, level_of_measurement="nominal")), 4)


def between_people(ratings: Iterable[Rating]) -> dict[Category, dict[str, Any]]:
    """Alpha by category over all segments of the responses that several people annotated."""
    groups = shared(ratings)
    people = sorted({rating.annotator for group in groups for rating in group})
    figures = {}
    for category in BUILT_IN:
        columns: list[NDArray[np.float64]] = []
        for group in groups:
            pieces = segments(group[0].text, BUILT_IN[category].density)
            block = np.full((len(people), len(pieces)), np.nan)
            for rating in group:
                block[people.index(rating.annotator)] = error_mask(rating, category, pieces)
            columns.append(block)
        table = np.concatenate(columns, axis=1) if columns else np.zeros((0, 0))
        value = alpha(table.tolist())
        figures[category] = {
            "alpha": value,
            "verdict": verdict(value, len(groups)),
            "units": int(table.shape[1]),
            "responses": len(groups),
        }
    return figures


def span_f1(ratings: Iterable[Rating], of: str | None = None) -> dict[str, dict[str, Any]]:
    """By label, the F1 of the words that two people marked with it, over all pairs of people who share a response.

    With `of`, only pairs with that person. F1 is 2 |A and B| / (|A| + |B|); None where nobody marked the label.
    """
    both: dict[str, int] = defaultdict(int)
    marked: dict[str, int] = defaultdict(int)
    for group in shared(ratings):
        words = [match.span() for match in _WORD.finditer(group[0].text)]
        for first, second in combinations(group, 2):
            if of is not None and of not in (first.annotator, second.annotator):
                continue
            for label in SPAN_LABELS:
                a, b = _marked_words(first, label, words), _marked_words(second, label, words)
                both[label] += len(a & b)
                marked[label] += len(a) + len(b)
    return {
        label: {"f1": round(2 * both[label] / marked[label], 4) if marked[label] else None, "words": marked[label]}
        for label in SPAN_LABELS
    }


def _marked_words(rating: Rating, label: str, words: Sequence[Span]) -> set[int]:
    spans = [(start, end) for name, start, end in rating.spans if name == label]
    return {i for i, (a, b) in enumerate(words) if any(a < end and start < b for start, end in spans)}


def by_annotator(ratings: Sequence[Rating]) -> dict[str, dict[str, Any]]:
    """For each person the number of annotations, and agreement with everybody else on the responses they share."""
    figures = {}
    for name in sorted({rating.annotator for rating in ratings}):
        own = {rating.response_id for rating in ratings if rating.annotator == name}
        with_others = [rating for rating in ratings if rating.response_id in own]
        figures[name] = {
            "annotations": sum(rating.annotator == name for rating in ratings),
            "categories": {category: {"alpha": alpha_with(name, with_others, category)} for category in BUILT_IN},
            "spans": span_f1(with_others, of=name),
        }
    return figures


def alpha_with(name: str, ratings: Iterable[Rating], category: Category) -> float | None:
    """Alpha of one person with each other person in turn, all pairs of ratings pooled."""
    rows: list[list[float]] = [[], []]
    for group in shared(ratings):
        pieces = segments(group[0].text, BUILT_IN[category].density)
        for own in (rating for rating in group if rating.annotator == name):
            for other in (rating for rating in group if rating.annotator != name):
                rows[0] += error_mask(own, category, pieces).tolist()
                rows[1] += error_mask(other, category, pieces).tolist()
    return alpha(rows)


def by_week(ratings: Iterable[Rating]) -> list[dict[str, Any]]:
    """Agreement by ISO week. A response counts in the week in which its second person annotated it."""
    weeks: dict[str, list[Rating]] = defaultdict(list)
    for group in shared(ratings):
        year, week, _ = sorted(rating.created for rating in group)[1].isocalendar()
        weeks[f"{year}-W{week:02d}"] += group
    return [
        {"week": week, "categories": between_people(rated), "spans": span_f1(rated)}
        for week, rated in sorted(weeks.items())
    ]


def models_with_people(
    ratings: Iterable[Rating], scores: Mapping[str, Mapping[str, Any]]
) -> dict[Category, dict[str, Any]]:
    """Agreement of the reward models with people: alpha, accuracy and macro-F1 over the scored segments.

    `scores` has the `scores` of responses by id, as GET /responses/{id} shows them. Every rating of a response counts.
    """
    figures = {}
    scored = [rating for rating in ratings if rating.response_id in scores]
    for category in BUILT_IN:
        people: list[bool] = []
        models: list[bool] = []
        for rating in scored:
            pieces = scores[rating.response_id].get(category, {}).get("segments", [])
            people += error_mask(rating, category, [(piece["start"], piece["end"]) for piece in pieces]).tolist()
            models += [bool(piece["error"]) for piece in pieces]
        truth, predicted = np.array(people, dtype=bool), np.array(models, dtype=bool)
        figures[category] = {
            "alpha": alpha([people, models]),
            "accuracy": round(float((truth == predicted).mean()), 4) if people else None,
            "macro_f1": round(macro_f1(truth, predicted), 4) if people else None,
            "units": len(people),
        }
    return figures


def full_report(ratings: Sequence[Rating], scores: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """All measures, in the shape of service.feedback.agreement.report.AgreementReport."""
    return {
        "people": {"categories": between_people(ratings), "spans": span_f1(ratings)},
        "annotators": by_annotator(ratings),
        "weeks": by_week(ratings),
        "models": models_with_people(ratings, scores),
        "differing": differing(ratings),
    }
