"""The figures of the model card on agreement: calibration, learning curve, labels, overlaps, densities, examples.

All predictions are out of fold: no head was fitted on the questions it is evaluated on.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rewards.categories import BUILT_IN, SEGMENT_CATEGORIES, Category, Density
from rewards.dataset import FeedbackExample
from rewards.evaluation.evaluate import agreement, out_of_fold, predict
from rewards.evaluation.example_segments import pick_examples
from rewards.evaluation.krippendorff_alpha import alpha_of_corrections, alpha_of_model
from rewards.features.extractor import RESPONSE_FEATURES, RESPONSE_GROUPS, SEGMENT_FEATURES, SEGMENT_GROUPS
from rewards.fitting.feedback_table import FeedbackTable
from rewards.fitting.fit_heads import fit_heads
from rewards.fitting.fit_label_heads import evaluate_label_head, labelled_errors
from rewards.fitting.folds import FOLDS, split_folds
from rewards.fitting.labelled import Segments
from rewards.fitting.segment_labels import error_labels
from rewards.heads.linear import fit_logistic
from rewards.models.recipe import FitRecipe, HeadRecipe
from rewards.segmentation import segments
from rewards.statistics.agreement_with_people import equally_filled_bins, macro_f1, roc_auc, rounded
from rewards.statistics.calibration import best_threshold

Matrix = NDArray[np.float64]
Mask = NDArray[np.bool_]
SIZES = (50, 100, 200)
"""Numbers of questions on the learning curve, before all of them."""


def card_figures(examples: Sequence[FeedbackExample], table: FeedbackTable, recipe: FitRecipe) -> dict[str, Any]:
    """All figures of this module, as JSON values, from feedback and its table."""
    predictions = out_of_fold(table, recipe)
    errors = {"relevance": predictions.relevance.errors, "factuality": predictions.factuality.errors}
    return {
        "questions": len(examples),
        "agreement": {"protocol": "cross-validated", "folds": FOLDS} | agreement(table, predictions),
        "reliability": {
            name: reliability(getattr(predictions, name).probabilities, getattr(table, name).y)
            for name in SEGMENT_CATEGORIES
        },
        "alpha": {
            "model": alpha_of_model(
                table,
                {
                    "relevance": predictions.relevance,
                    "factuality": predictions.factuality,
                    "completeness": predictions.missing,
                },
            ),
            "corrections": alpha_of_corrections(examples),
        },
        "learning_curve": [learning_curve_point(table, recipe, size) for size in (*SIZES, None)],
        "detected_by_label": {name: detected_by_label(examples, name, errors[name]) for name in SEGMENT_CATEGORIES},
        "labels": {
            name: evaluate_label_head(name, category_errors, len(examples))
            for name, category_errors in labelled_errors(examples, table).items()
        },
        "overlap": overlap(examples, errors),
        "densities": {name: densities(examples, table, recipe, name) for name in SEGMENT_CATEGORIES},
        "examples": {name: pick_examples(examples, name, getattr(predictions, name)) for name in SEGMENT_CATEGORIES},
    }


def reliability(probabilities: Matrix, labels: Mask) -> list[dict[str, float]]:
    """Predicted and observed rate of errors in equally filled bins, from the lowest probability to the highest."""
    return [
        {"predicted": rounded(probabilities[p].mean()), "observed": rounded(labels[p].mean()), "n": len(p)}
        for p in equally_filled_bins(probabilities)
    ]


def learning_curve_point(table: FeedbackTable, recipe: FitRecipe, size: int | None) -> dict[str, Any]:
    """Cross-validated agreement of heads fitted on at most `size` questions of the other folds; None for all."""
    parts = []
    for rest, fold in split_folds(np.arange(len(table.keys)), groups=table.groups):
        drawn = np.sort(np.random.default_rng(1).permutation(rest)[:size])
        parts.append((fit_heads(table, drawn, recipe), fold))
    figures = agreement(table, predict(table, parts))
    return {
        "questions": len(drawn),
        "relevance": figures["relevance"]["macro_f1"],
        "factuality": figures["factuality"]["macro_f1"],
        "completeness": figures["completeness"]["pairwise_accuracy"],
        "preference": figures["preference"]["pairwise_accuracy"],
    }


def detected_by_label(
    examples: Sequence[FeedbackExample], category: Category, errors: Mask
) -> dict[str, dict[str, float]]:
    """For each annotation label, the number of segments that overlap its spans and the share predicted as errors."""
    density = BUILT_IN[category].density
    report = {}
    for label in BUILT_IN[category].labels:
        marked = np.concatenate([error_labels(e, _spans(e, density), category, label) for e in examples])
        report[label] = {"n": int(marked.sum()), "detected": _rate(errors[marked])}
    return report


def overlap(examples: Sequence[FeedbackExample], errors: dict[str, Mask]) -> dict[str, Any]:
    """For sentences with errors of both categories, of one, or of none, the share that each model predicts as errors.

    The relevance model predicts an error of a sentence if it predicts one in any of its sub-sentences.
    """
    relevance, factuality, predicted, sub = [], [], [], 0
    for e in examples:
        spans = segments(e.predictions[0], "sentence")
        relevance.append(error_labels(e, spans, "relevance"))
        factuality.append(error_labels(e, spans, "factuality"))
        pieces = segments(e.predictions[0], "sub-sentence")
        wrong = [
            piece for piece, error in zip(pieces, errors["relevance"][sub : sub + len(pieces)], strict=True) if error
        ]
        sub += len(pieces)
        predicted.append(np.array([any(a <= start and end <= b for start, end in wrong) for a, b in spans], dtype=bool))
    r, f, by_relevance = np.concatenate(relevance), np.concatenate(factuality), np.concatenate(predicted)
    cells = {"both": r & f, "relevance only": r & ~f, "factuality only": ~r & f, "neither": ~r & ~f}
    return {
        name: {
            "sentences": int(cell.sum()),
            "relevance_model": _rate(by_relevance[cell]),
            "factuality_model": _rate(errors["factuality"][cell]),
        }
        for name, cell in cells.items()
    }


def densities(
    examples: Sequence[FeedbackExample], table: FeedbackTable, recipe: FitRecipe, category: Category
) -> dict[str, Any]:
    """How well a head predicts errors of the category on sub-sentences, sentences and whole responses."""
    report: dict[str, Any] = {}
    head: HeadRecipe = getattr(recipe, category)
    pieces: dict[Density, Segments] = {"sub-sentence": table.relevance, "sentence": table.factuality}
    for density, part in pieces.items():
        labels = np.concatenate([error_labels(e, _spans(e, density), category) for e in examples])
        report[density] = _separation(part.x, labels, part.question, SEGMENT_FEATURES, head)
    whole = np.array([error_labels(e, _spans(e, "response"), category).any() for e in examples], dtype=bool)
    questions = np.arange(len(examples))
    report["response"] = _separation(table.annotated, whole, questions, RESPONSE_FEATURES, recipe.missing)
    return report


def _spans(example: FeedbackExample, density: Density) -> list[tuple[int, int]]:
    return segments(example.predictions[0], density)


def _separation(
    x: Matrix, labels: Mask, question: NDArray[np.int64], features: Sequence[str], head: HeadRecipe
) -> dict[str, Any]:
    """ROC AUC and macro-F1 of out-of-fold predictions by a head on some features."""
    probabilities = np.zeros(len(labels))
    used = head.used(SEGMENT_GROUPS if features is SEGMENT_FEATURES else RESPONSE_GROUPS)
    for rest, fold in split_folds(np.unique(question)):
        train, test = np.isin(question, rest), np.isin(question, fold)
        fitted = fit_logistic(x[train], labels[train], features, head.strength, used)
        probabilities[test] = fitted.probabilities(x[test])
    threshold = best_threshold(probabilities, labels)
    return {
        "n": len(labels),
        "errors": _rate(labels),
        "auc": roc_auc(labels, probabilities),
        "macro_f1": rounded(macro_f1(labels, probabilities >= threshold)),
    }


def _rate(values: Mask) -> float:
    return rounded(values.mean()) if len(values) else 0.0
