"""What lies behind the figures of agreement: calibration by bin, learning curve, label types, overlaps, densities.

Everything is judged out of fold: by heads that have not seen the question.
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
from rewards.fitting.feedback_table import FeedbackTable, Segments
from rewards.fitting.fit_heads import fit_heads
from rewards.fitting.fit_label_heads import evaluate_label_head, labelled_errors
from rewards.fitting.folds import FOLDS, split_folds
from rewards.fitting.segment_labels import error_labels
from rewards.heads.linear import fit_logistic
from rewards.models.recipe import FitRecipe, HeadRecipe
from rewards.segmentation import segments
from rewards.statistics.agreement_with_people import macro_f1
from rewards.statistics.calibration import best_threshold

Matrix = NDArray[np.float64]
Mask = NDArray[np.bool_]
SIZES = (50, 100, 200)
BINS = 10


def card_figures(examples: Sequence[FeedbackExample], table: FeedbackTable, recipe: FitRecipe) -> dict[str, Any]:
    """All of this module on one table of feedback, as JSON has it."""
    said = out_of_fold(table, recipe)
    errors = {"relevance": said.relevance.errors, "factuality": said.factuality.errors}
    return {
        "questions": len(examples),
        "agreement": {"protocol": "cross-validated", "folds": FOLDS} | agreement(table, said),
        "reliability": {
            name: reliability(getattr(said, name).probabilities, getattr(table, name).y) for name in SEGMENT_CATEGORIES
        },
        "alpha": {
            "model": alpha_of_model(
                table,
                {"relevance": said.relevance, "factuality": said.factuality, "completeness": said.missing},
            ),
            "corrections": alpha_of_corrections(examples),
        },
        "learning_curve": [learning_curve_point(table, recipe, size) for size in (*SIZES, None)],
        "detected_by_label": {name: detected_by_label(examples, name, errors[name]) for name in SEGMENT_CATEGORIES},
        "labels": {
            name: evaluate_label_head(name, one, len(examples))
            for name, one in labelled_errors(examples, table).items()
        },
        "overlap": overlap(examples, errors),
        "densities": {name: densities(examples, table, recipe, name) for name in SEGMENT_CATEGORIES},
        "examples": {name: pick_examples(examples, name, getattr(said, name)) for name in SEGMENT_CATEGORIES},
    }


def reliability(probabilities: Matrix, labels: Mask) -> list[dict[str, float]]:
    """Predicted and observed rate of errors in equally filled bins, from the lowest probability to the highest."""
    parts = np.array_split(np.argsort(probabilities, kind="stable"), BINS)
    return [
        {"predicted": _round(probabilities[p].mean()), "observed": _round(labels[p].mean()), "n": len(p)}
        for p in parts
        if len(p)
    ]


def learning_curve_point(table: FeedbackTable, recipe: FitRecipe, size: int | None) -> dict[str, Any]:
    """Cross-validated agreement of heads fitted on at most `size` of each fold's other questions; None for all."""
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
    """For each annotation label, the segments that overlap its spans and the share of them judged errors."""
    density = BUILT_IN[category].density
    report = {}
    for label in BUILT_IN[category].labels:
        marked = np.concatenate([error_labels(e, _spans(e, density), category, label) for e in examples])
        report[label] = {"n": int(marked.sum()), "detected": _rate(errors[marked])}
    return report


def overlap(examples: Sequence[FeedbackExample], errors: dict[str, Mask]) -> dict[str, Any]:
    """Sentences that carry errors of both categories, of one, or of none, and what each model says of them.

    A sentence is an error to the relevance model when any of its sub-sentences is.
    """
    relevance, factuality, said, sub = [], [], [], 0
    for e in examples:
        spans = segments(e.predictions[0], "sentence")
        relevance.append(error_labels(e, spans, "relevance"))
        factuality.append(error_labels(e, spans, "factuality"))
        pieces = segments(e.predictions[0], "sub-sentence")
        judged = errors["relevance"][sub : sub + len(pieces)]
        sub += len(pieces)
        said.append(
            np.array(
                [any(j and a <= p[0] and p[1] <= b for p, j in zip(pieces, judged, strict=True)) for a, b in spans],
                dtype=bool,
            )
        )
    r, f, by_relevance = np.concatenate(relevance), np.concatenate(factuality), np.concatenate(said)
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
    """How well one head tells errors of the category when it judges sub-sentences, sentences or whole responses."""
    report: dict[str, Any] = {}
    head: HeadRecipe = getattr(recipe, category)
    pieces: dict[Density, Segments] = {"sub-sentence": table.relevance, "sentence": table.factuality}
    for density, one in pieces.items():
        labels = np.concatenate([error_labels(e, _spans(e, density), category) for e in examples])
        report[density] = _separation(one.x, labels, one.question, SEGMENT_FEATURES, head)
    whole = np.array([error_labels(e, _spans(e, "response"), category).any() for e in examples], dtype=bool)
    questions = np.arange(len(examples))
    report["response"] = _separation(table.responses[::4], whole, questions, RESPONSE_FEATURES, recipe.missing)
    return report


def _spans(example: FeedbackExample, density: Density) -> list[tuple[int, int]]:
    return segments(example.predictions[0], density)


def _separation(
    x: Matrix, labels: Mask, question: NDArray[np.int64], features: Sequence[str], head: HeadRecipe
) -> dict[str, Any]:
    from sklearn.metrics import roc_auc_score

    judged = np.zeros(len(labels))
    used = head.used(SEGMENT_GROUPS if features is SEGMENT_FEATURES else RESPONSE_GROUPS)
    for rest, fold in split_folds(np.unique(question)):
        train, test = np.isin(question, rest), np.isin(question, fold)
        judged[test] = fit_logistic(x[train], labels[train], features, head.strength, used).probabilities(x[test])
    threshold = best_threshold(judged, labels)
    return {
        "n": len(labels),
        "errors": _rate(labels),
        "auc": _round(roc_auc_score(labels, judged)) if 0 < labels.sum() < len(labels) else None,
        "macro_f1": _round(macro_f1(labels, judged >= threshold)),
    }


def _rate(values: Mask) -> float:
    return _round(values.mean()) if len(values) else 0.0


def _round(value: Any) -> float:
    return round(float(value), 4)
