"""Fits the heads of the reward models on span feedback, with calibration and thresholds."""

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


def fit_heads(table: FeedbackTable, questions: NDArray[np.int64], recipe: FitRecipe) -> Heads:
    """Fit every head on some rows of the table, with calibration and thresholds.

    Both are chosen on out-of-fold predictions over all segments. Raises FgctlError when there are too few annotations.
    """
    parts = [(_fit(table, rest, recipe), fold) for rest, fold in split_folds(questions, groups=table.groups)]
    heads = _fit(table, questions, recipe)
    updated = {name: _calibrated(getattr(heads, name), table, parts, name) for name in SEGMENT_CATEGORIES}
    logits = np.concatenate([h.missing.logits(table.annotated[fold]) for h, fold in parts])
    labels = np.concatenate([table.missing[fold] for _, fold in parts])
    updated["missing"] = recalibrate(heads.missing, logits, labels)
    for name, pairs in (("completeness", table.coverage), ("preference", table.preference)):
        margins = []
        for part, fold in parts:
            in_fold = select_pairs(pairs, fold)
            scores = getattr(part, name).logits(table.responses)
            margins.append(scores[in_fold.better] - scores[in_fold.worse])
        updated[name] = getattr(heads, name).scaled(margin_slope(np.concatenate(margins)))
    return heads.model_copy(update=updated)


def _calibrated(
    head: LinearHead, table: FeedbackTable, parts: list[tuple[Heads, NDArray[np.int64]]], name: str
) -> LinearHead:
    segments: Segments = getattr(table, name)
    logits, labels = [], []
    for part, fold in parts:
        chosen = np.isin(segments.question, fold)
        logits.append(getattr(part, name).logits(segments.x[chosen]))
        labels.append(segments.y[chosen])
    return recalibrate(head, np.concatenate(logits), np.concatenate(labels))


def recalibrate(head: LinearHead, logits: Matrix, labels: NDArray[np.bool_]) -> LinearHead:
    """Platt scaling on out-of-fold logits [N], then the operating point on the result."""
    slope, shift = platt(logits, labels)
    point = operating_point(sigmoid(slope * logits + shift), labels)
    return head.scaled(slope, shift).model_copy(update={"operating": point})


def _fit(table: FeedbackTable, questions: NDArray[np.int64], recipe: FitRecipe) -> Heads:
    heads: dict[str, LinearHead] = {}
    # Sentences with only relevance errors blur what a factual error looks like; calibration restores their base rate.
    factuality_weight = np.where(table.factuality.only_relevance, recipe.relevance_only_weight, 1.0)
    for name, weights in (("relevance", np.ones(len(table.relevance.y))), ("factuality", factuality_weight)):
        segments, head = getattr(table, name), getattr(recipe, name)
        chosen = np.isin(segments.question, questions) & (weights > 0)
        _require(chosen.sum())
        known = select_segments(getattr(table.references, name), questions)
        counted = getattr(recipe.references, name)
        used = slice(None) if counted else slice(0)
        heads[name] = fit_logistic(
            np.concatenate([segments.x[chosen], known.x[used]]),
            np.concatenate([segments.y[chosen], known.y[used]]),
            SEGMENT_FEATURES,
            head.strength,
            head.used(SEGMENT_GROUPS),
            np.concatenate([weights[chosen], np.full(len(known.y), counted)[used]]),
        )
    head = recipe.missing
    heads["missing"] = fit_logistic(
        table.annotated[questions], table.missing[questions], RESPONSE_FEATURES, head.strength,
        head.used(RESPONSE_GROUPS),
    )  # fmt: skip
    known_pairs = select_pairs(table.references.completeness, questions)
    for name, pairs in (("completeness", table.coverage), ("preference", table.preference)):
        head, factor = getattr(recipe, name), getattr(recipe.references, name)
        heads[name] = _pair_head(table.responses, select_pairs(pairs, questions), head)
        if factor and len(known_pairs.better):
            heads[name] = heads[name].plus(_pair_head(table.references.responses, known_pairs, head), factor)
    return Heads(**heads)


def _pair_head(responses: Matrix, pairs: Pairs, head: HeadRecipe) -> LinearHead:
    _require(len(pairs.better))
    return fit_bradley_terry(
        responses, pairs.better, pairs.worse, RESPONSE_FEATURES, head.strength, head.used(RESPONSE_GROUPS)
    )


def _require(count: int) -> None:
    if count == 0:
        raise FgctlError("Too little feedback to fit every reward model; annotate more answers.")
