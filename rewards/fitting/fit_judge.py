"""Fits the judge's heads on span feedback."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rewards.categories import Category
from rewards.dataset import FeedbackExample
from rewards.errors import FgctlError
from rewards.fitting.feedback_table import pair_table
from rewards.fitting.folds import split_folds
from rewards.fitting.segment_labels import coverage_pairs, error_labels
from rewards.heads.linear import LinearHead, fit_bradley_terry, fit_logistic, sigmoid
from rewards.heads.stored_json import write_in_one_step
from rewards.models.judge import WEIGHTS, FittedJudge, JudgeTrunk, log_odds, weights_version
from rewards.scores import ScoreRequest
from rewards.segmentation import sentences, sub_sentences
from rewards.statistics.agreement_with_people import binary_agreement, pairwise_agreement
from rewards.statistics.calibration import OperatingPoint, margin_slope, operating_point, platt

Matrix = NDArray[np.float64]

STRENGTH = {"relevance": 1e-4, "factuality": 3e-4, "completeness": 1e-4}
"""Inverse of the L2 regularisation, which is strong because there are more hidden units than responses."""


@dataclass(frozen=True)
class JudgeTable:
    """Hidden states and labels of the feedback on Q questions."""

    states: dict[Category, Matrix]
    """For relevance and factuality of the segments of prediction 1; for completeness of all predictions."""
    labels: dict[Category, NDArray[np.bool_]]
    question: dict[Category, NDArray[np.int64]]
    better: NDArray[np.int64]
    """Rows of the completeness states: the response that covers more of the corrected response in each pair."""
    worse: NDArray[np.int64]
    pair_question: NDArray[np.int64]
    questions: int


def tabulate_states(
    examples: Sequence[FeedbackExample], trunk: JudgeTrunk, progress: Callable[[int, int], None] = lambda i, n: None
) -> JudgeTable:
    """Read feedback with the judge's trunk. Raises FgctlError when there is nothing to fit on."""
    states: dict[Category, list[Matrix]] = {"relevance": [], "factuality": [], "completeness": []}
    labels: dict[Category, list[NDArray[np.bool_]]] = {"relevance": [], "factuality": []}
    for i, e in enumerate(examples):
        first, *others = trunk.read([ScoreRequest(e.question, e.passages, p) for p in e.predictions])
        states["relevance"].append(first.sub_sentences)
        states["factuality"].append(first.sentences)
        states["completeness"].append(np.stack([read.response for read in (first, *others)]))
        labels["relevance"].append(error_labels(e, sub_sentences(e.predictions[0]), "relevance"))
        labels["factuality"].append(error_labels(e, sentences(e.predictions[0]), "factuality"))
        progress(i + 1, len(examples))
    pairs = pair_table(map(coverage_pairs, examples))
    _require(len(pairs.better))
    return JudgeTable(
        states={name: np.concatenate(parts) for name, parts in states.items()},
        labels={name: np.concatenate(parts) for name, parts in labels.items()},
        question={name: np.repeat(np.arange(len(examples)), [len(p) for p in parts]) for name, parts in labels.items()},
        better=pairs.better, worse=pairs.worse, pair_question=pairs.question, questions=len(examples),
    )  # fmt: skip


def fit_judge(
    table: JudgeTable, questions: NDArray[np.int64]
) -> tuple[dict[Category, Matrix], dict[Category, OperatingPoint]]:
    """The calibrated weights of every head, and the operating points of relevance and factuality."""
    weights: dict[Category, Matrix] = {}
    points = {}
    parts = split_folds(questions)
    for name, labels in table.labels.items():
        rows = np.concatenate([_rows(table, name, fold) for _, fold in parts])
        logits = np.concatenate(
            [
                log_odds(_segment_head(table, name, rest), table.states[name][_rows(table, name, fold)])
                for rest, fold in parts
            ]
        )
        slope, shift = platt(logits, labels[rows])
        points[name] = operating_point(sigmoid(slope * logits + shift), labels[rows])
        weights[name] = _scaled(_segment_head(table, name, questions), slope, shift)
    margins = np.concatenate([_margins(table, _pair_head(table, rest), fold) for rest, fold in parts])
    weights["completeness"] = _scaled(_pair_head(table, questions), margin_slope(margins))
    return weights, points


def judge_agreement(table: JudgeTable) -> dict[str, Any]:
    """Cross-validated agreement with people."""
    probabilities = {name: np.zeros(len(y)) for name, y in table.labels.items()}
    errors = {name: np.zeros(len(y), dtype=bool) for name, y in table.labels.items()}
    margins = np.zeros(len(table.better))
    for rest, fold in split_folds(np.arange(table.questions)):
        weights, points = fit_judge(table, rest)
        for name, values in probabilities.items():
            rows = _rows(table, name, fold)
            values[rows] = sigmoid(log_odds(weights[name], table.states[name][rows]))
            errors[name][rows] = values[rows] >= points[name].threshold
        margins[np.isin(table.pair_question, fold)] = _margins(table, weights["completeness"], fold)
    return {
        name: binary_agreement(y, probabilities[name], errors[name], table.question[name], table.questions)
        for name, y in table.labels.items()
    } | {"completeness": pairwise_agreement(margins, table.pair_question, table.questions)}


def save_judge(
    path: Path,
    weights: dict[Category, Matrix],
    points: dict[Category, OperatingPoint],
    *,
    trunk: str,
    layer: int,
    data: dict[str, str],
    questions: int,
    agreement: dict[str, Any],
) -> FittedJudge:
    """Write the weights and then `judge.json`, each in one step."""
    from safetensors.numpy import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.parent / WEIGHTS
    scratch = file.with_suffix(".new")
    save_file({name: w.astype(np.float32) for name, w in weights.items()}, scratch)
    scratch.replace(file)
    fitted = FittedJudge(
        version=weights_version(file), trunk=trunk, layer=layer, operating=points, data=data, questions=questions,
        agreement=agreement,
    )  # fmt: skip
    write_in_one_step(path, json.dumps(fitted.model_dump(mode="json"), indent=1) + "\n")
    return fitted


def _rows(table: JudgeTable, name: Category, questions: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.flatnonzero(np.isin(table.question[name], questions))


def _segment_head(table: JudgeTable, name: Category, questions: NDArray[np.int64]) -> Matrix:
    rows = _rows(table, name, questions)
    _require(len(rows))
    x = table.states[name][rows].astype(np.float64)
    return _folded(fit_logistic(x, table.labels[name][rows], _names(x), STRENGTH[name]))


def _pair_head(table: JudgeTable, questions: NDArray[np.int64]) -> Matrix:
    chosen = np.isin(table.pair_question, questions)
    _require(chosen.sum())
    x = table.states["completeness"].astype(np.float64)
    return _folded(fit_bradley_terry(x, table.better[chosen], table.worse[chosen], _names(x), STRENGTH["completeness"]))


def _require(count: int) -> None:
    if count == 0:
        raise FgctlError("Too little feedback to fit the judge; annotate more answers.")


def _margins(table: JudgeTable, weights: Matrix, questions: NDArray[np.int64]) -> Matrix:
    chosen = np.isin(table.pair_question, questions)
    scores = log_odds(weights, table.states["completeness"])
    return np.asarray(scores[table.better[chosen]] - scores[table.worse[chosen]])


def _names(x: Matrix) -> list[str]:
    return [f"h{i}" for i in range(x.shape[1])]


def _folded(head: LinearHead) -> Matrix:
    """The weights of a head on raw instead of standardised states, the bias last."""
    weight = np.asarray(head.weight) / np.asarray(head.scale)
    return np.append(weight, head.intercept - weight @ np.asarray(head.mean))


def _scaled(weights: Matrix, slope: float, shift: float = 0.0) -> Matrix:
    scaled = slope * weights
    scaled[-1] += shift
    return scaled
