"""Fits the heads of the reward models on span feedback, with calibration and thresholds."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rewards.categories import SEGMENT_CATEGORIES
from rewards.errors import FgctlError
from rewards.features.extractor import RESPONSE_FEATURES, RESPONSE_GROUPS, SEGMENT_FEATURES, SEGMENT_GROUPS
from rewards.fitting.feedback_table import FeedbackTable
from rewards.fitting.folds import split_folds
from rewards.fitting.labelled import Pairs, Segments, select_pairs, select_segments
from rewards.heads.linear import Heads, LinearHead, fit_bradley_terry, fit_logistic, sigmoid
from rewards.models.recipe import FitRecipe, HeadRecipe
from rewards.statistics.calibration import margin_slope, operating_point, platt

Matrix = NDArray[np.float64]


def fit_heads(
    table: FeedbackTable, questions: NDArray[np.int64], recipe: FitRecipe, before: Heads | None = None
) -> Heads:
    """Fit every head on some rows of the table, with calibration and thresholds.

    Both are chosen on out-of-fold predictions over all segments. Heads for which the rows have no examples are those of
    `before`; without it, raises FgctlError naming them.
    """
    lacking = heads_without_examples(table, questions)
    if lacking and before is None:
        raise FgctlError(f"Too little feedback: {'; '.join(lacking.values())}; annotate more answers.")
    names = [name for name in Heads.model_fields if name not in lacking]
    parts = [(_fit(table, rest, recipe, names), fold) for rest, fold in split_folds(questions, groups=table.groups)]
    heads = _fit(table, questions, recipe, names)
    for name in names:
        if name in SEGMENT_CATEGORIES:
            heads[name] = _calibrated(heads[name], table, parts, name)
        elif name == "missing":
            logits = np.concatenate([h[name].logits(table.annotated[fold]) for h, fold in parts])
            heads[name] = recalibrate(heads[name], logits, np.concatenate([table.missing[fold] for _, fold in parts]))
        else:
            margins = []
            for part, fold in parts:
                in_fold = select_pairs(_pairs(table, name), fold)
                scores = part[name].logits(table.responses)
                margins.append(scores[in_fold.better] - scores[in_fold.worse])
            heads[name] = heads[name].scaled(margin_slope(np.concatenate(margins)))
    return Heads(**heads) if before is None else before.model_copy(update=heads)


def heads_without_examples(table: FeedbackTable, questions: NDArray[np.int64]) -> dict[str, str]:
    """The heads that some rows of the table cannot teach, and why, as clauses.

    A judgement needs examples of both outcomes, a comparison some pairs even where a fold's questions are left out.
    """
    lacking = {}
    for name, marked in (("relevance", "no sub-sentence is irrelevant"), ("factuality", "no sentence is false")):
        segments: Segments = getattr(table, name)
        y = segments.y[np.isin(segments.question, questions)]
        if y.all() or not y.any():
            lacking[name] = marked if not y.any() else f"every segment lacks {name}"
    missing = table.missing[questions]
    if missing.all() or not missing.any():
        lacking["missing"] = f"{'every' if missing.any() else 'no'} answer lacks information"
    rests = [rest for rest, _ in split_folds(questions, groups=table.groups)]
    for name, reason in (
        ("completeness", "too few answers cover more of a corrected one than others"),
        ("preference", "too few answers are preferred to others"),
    ):
        pairs = _pairs(table, name)
        if not all(np.isin(rest, pairs.question).any() for rest in rests):
            lacking[name] = reason
    return lacking


def _pairs(table: FeedbackTable, name: str) -> Pairs:
    return table.coverage if name == "completeness" else table.preference


def _calibrated(
    head: LinearHead, table: FeedbackTable, parts: list[tuple[dict[str, LinearHead], NDArray[np.int64]]], name: str
) -> LinearHead:
    segments: Segments = getattr(table, name)
    logits, labels = [], []
    for part, fold in parts:
        chosen = np.isin(segments.question, fold)
        logits.append(part[name].logits(segments.x[chosen]))
        labels.append(segments.y[chosen])
    return recalibrate(head, np.concatenate(logits), np.concatenate(labels))


def recalibrate(head: LinearHead, logits: Matrix, labels: NDArray[np.bool_]) -> LinearHead:
    """Platt scaling on out-of-fold logits [N], then the operating point on the result."""
    slope, shift = platt(logits, labels)
    point = operating_point(sigmoid(slope * logits + shift), labels)
    return head.scaled(slope, shift).model_copy(update={"operating": point})


def _fit(
    table: FeedbackTable, questions: NDArray[np.int64], recipe: FitRecipe, names: Sequence[str]
) -> dict[str, LinearHead]:
    """The heads of those names, without calibration."""
    heads: dict[str, LinearHead] = {}
    for name in names:
        head = getattr(recipe, name)
        if name in SEGMENT_CATEGORIES:
            heads[name] = _segment_head(table, questions, recipe, name)
        elif name == "missing":
            heads[name] = fit_logistic(
                table.annotated[questions], table.missing[questions], RESPONSE_FEATURES, head.strength,
                head.used(RESPONSE_GROUPS),
            )  # fmt: skip
        else:
            heads[name] = _pair_head(table.responses, select_pairs(_pairs(table, name), questions), head)
            factor, known = getattr(recipe.references, name), select_pairs(table.references.completeness, questions)
            if factor and len(known.better):
                heads[name] = heads[name].plus(_pair_head(table.references.responses, known, head), factor)
    return heads


def _segment_head(table: FeedbackTable, questions: NDArray[np.int64], recipe: FitRecipe, name: str) -> LinearHead:
    segments, head = getattr(table, name), getattr(recipe, name)
    weights = np.ones(len(segments.y))
    if name == "factuality":
        # Sentences with only relevance errors blur what a factual error looks like; calibration restores their base
        # rate.
        weights = np.where(segments.only_relevance, recipe.relevance_only_weight, 1.0)
    chosen = np.isin(segments.question, questions) & (weights > 0)
    known = select_segments(getattr(table.references, name), questions)
    counted = getattr(recipe.references, name)
    used = slice(None) if counted else slice(0)
    return fit_logistic(
        np.concatenate([segments.x[chosen], known.x[used]]),
        np.concatenate([segments.y[chosen], known.y[used]]),
        SEGMENT_FEATURES,
        head.strength,
        head.used(SEGMENT_GROUPS),
        np.concatenate([weights[chosen], np.full(len(known.y), counted)[used]]),
    )


def _pair_head(responses: Matrix, pairs: Pairs, head: HeadRecipe) -> LinearHead:
    return fit_bradley_terry(
        responses, pairs.better, pairs.worse, RESPONSE_FEATURES, head.strength, head.used(RESPONSE_GROUPS)
    )
