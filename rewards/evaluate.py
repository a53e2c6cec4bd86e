"""How well the reward models agree with people, beside what takes no model at all."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rewards.dataset import FeedbackExample, question_key
from rewards.encoder import Encoder
from rewards.errors import FgctlError
from rewards.fit import FOLDS, FeedbackTable, Pairs, Segments, fit_heads, folds, macro_f1, tabulate
from rewards.heads import Heads

Matrix = NDArray[np.float64]


def evaluate(
    examples: Sequence[FeedbackExample], encoder: Encoder, heads: Heads, fitted_on: frozenset[str]
) -> dict[str, Any]:
    """Agreement with people on feedback.

    Where none of the questions was fitted on, the heads are used as they are (`protocol` "held-out"). Otherwise
    fresh heads are fitted on four fifths of the questions to judge the last fifth, in turn ("cross-validated").
    Raises FgctlError when there are too few rows for that.
    """
    if not examples:
        raise FgctlError("There is no feedback to evaluate on; name a file with at least one row.")
    table = tabulate(examples, encoder)
    every = np.arange(len(examples))
    seen = any(question_key(e.question) in fitted_on for e in examples)
    if seen and len(examples) < FOLDS:
        raise FgctlError(
            f"The reward models were fitted on some of these {len(examples)} questions, too few to cross-validate; "
            f"use other questions, or at least {FOLDS}."
        )
    return cross_validate(table) if seen else {"protocol": "held-out"} | _judge(table, [(heads, every)])


def cross_validate(table: FeedbackTable) -> dict[str, Any]:
    """Agreement of heads fitted on four fifths of the questions with people on the last fifth, pooled over folds."""
    parts = [(fit_heads(table, rest), fold) for rest, fold in folds(np.arange(len(table.keys)))]
    return {"protocol": "cross-validated"} | _judge(table, parts)


def _judge(table: FeedbackTable, parts: list[tuple[Heads, NDArray[np.int64]]]) -> dict[str, Any]:
    """Pool the predictions of each part's heads on that part's questions."""
    predicted = {"relevance": np.zeros(len(table.relevance.y)), "factuality": np.zeros(len(table.factuality.y))}
    errors = {name: p.astype(bool) for name, p in predicted.items()}
    completeness, preference = np.zeros(len(table.responses)), np.zeros(len(table.responses))
    for heads, questions in parts:
        for name, p in predicted.items():
            segments: Segments = getattr(table, name)
            chosen = np.isin(segments.question, questions)
            head = getattr(heads, name)
            p[chosen] = head.probabilities(segments.x[chosen])
            errors[name][chosen] = p[chosen] >= head.threshold
        rows = (4 * questions[:, None] + np.arange(4)).ravel()
        completeness[rows] = heads.completeness.logits(table.responses[rows])
        preference[rows] = heads.preference.logits(table.responses[rows])
    kept = ~table.factuality.only_relevance
    longer = table.words.astype(np.float64)
    return {
        "relevance": _binary(table.relevance.y, errors["relevance"], predicted["relevance"], "majority"),
        "factuality": _binary(table.factuality.y, errors["factuality"], predicted["factuality"], "no_error"),
        "factuality_paper_rule": _binary(
            table.factuality.y[kept], errors["factuality"][kept], predicted["factuality"][kept], "no_error"
        ),
        "completeness": _pairwise(completeness, table.coverage, {"longer": pairwise_accuracy(longer, table.coverage)}),
        "preference": _pairwise(
            preference,
            table.preference,
            {
                "longer": pairwise_accuracy(longer, table.preference),
                "first": _mean(table.preference.better < table.preference.worse),
            },
        ),
    }


def _binary(labels: NDArray[np.bool_], predicted: NDArray[np.bool_], p: Matrix, baseline: str) -> dict[str, Any]:
    rate = _mean(labels)
    return {
        "accuracy": _mean(labels == predicted),
        "macro_f1": round(macro_f1(labels, predicted), 4),
        "calibration_error": round(calibration_error(p, labels), 4),
        "n": len(labels),
        "baselines": {baseline: round(max(rate, 1 - rate) if baseline == "majority" else 1 - rate, 4)},
    }


def _pairwise(scores: Matrix, pairs: Pairs, baselines: dict[str, float]) -> dict[str, Any]:
    return {"pairwise_accuracy": pairwise_accuracy(scores, pairs), "n": len(pairs.better), "baselines": baselines}


def pairwise_accuracy(scores: Matrix, pairs: Pairs) -> float:
    """Share of pairs whose better response scores higher; equal scores count half."""
    margin = scores[pairs.better] - scores[pairs.worse]
    return _mean((margin > 0) + 0.5 * (margin == 0))


def calibration_error(probabilities: Matrix, labels: NDArray[np.bool_], bins: int = 10) -> float:
    """Expected calibration error over equally filled bins."""
    if len(labels) == 0:
        return 0.0
    parts = np.array_split(np.argsort(probabilities, kind="stable"), bins)
    gaps = [len(part) * abs(probabilities[part].mean() - labels[part].mean()) for part in parts if len(part)]
    return float(sum(gaps) / len(labels))


def _mean(values: NDArray[Any]) -> float:
    return round(float(np.mean(values)), 4) if len(values) else 0.0
