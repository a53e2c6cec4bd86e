"""How well the reward models agree with people, beside what takes no model at all."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rewards.agreement import binary_agreement, pairwise_agreement
from rewards.dataset import FeedbackExample, question_key
from rewards.encoder import Encoder
from rewards.errors import FgctlError
from rewards.fit import FOLDS, FeedbackTable, Pairs, Segments, fit_heads, folds, tabulate
from rewards.heads import Heads

Matrix = NDArray[np.float64]


def evaluate(
    examples: Sequence[FeedbackExample],
    encoder: Encoder,
    heads: Heads,
    fitted_on: frozenset[str],
    fold_count: int | None = None,
) -> dict[str, Any]:
    """Agreement with people on feedback.

    Where none of the questions was fitted on, the heads are used as they are (`protocol` "held-out"). Otherwise, or
    with `fold_count`, fresh heads are fitted on all folds of the questions but one to judge that one, in turn
    ("cross-validated"). Raises FgctlError when there are too few rows for that.
    """
    if not examples:
        raise FgctlError("There is no feedback to evaluate on; name a file with at least one row.")
    table = tabulate(examples, encoder)
    seen = any(question_key(e.question) in fitted_on for e in examples)
    if not seen and fold_count is None:
        return {"protocol": "held-out"} | _judge(table, [(heads, np.arange(len(examples)))])
    count = fold_count or FOLDS
    if len(examples) < max(count, FOLDS):
        reason = "" if fold_count else "The reward models were fitted on some of these questions; "
        raise FgctlError(
            f"{reason}{len(examples)} questions are too few to cross-validate over {count} folds; use more."
        )
    return cross_validate(table, count)


def cross_validate(table: FeedbackTable, count: int = FOLDS) -> dict[str, Any]:
    """Agreement of heads fitted on all folds but one with people on that one, pooled over folds."""
    parts = [(fit_heads(table, rest), fold) for rest, fold in folds(np.arange(len(table.keys)), count)]
    return {"protocol": "cross-validated", "folds": count} | _judge(table, parts)


def _judge(table: FeedbackTable, parts: list[tuple[Heads, NDArray[np.int64]]]) -> dict[str, Any]:
    """Pool the predictions of each part's heads on that part's questions."""
    predicted = {"relevance": np.zeros(len(table.relevance.y)), "factuality": np.zeros(len(table.factuality.y))}
    errors = {name: p.astype(bool) for name, p in predicted.items()}
    missing, missed = np.zeros(len(table.missing)), np.zeros(len(table.missing), dtype=bool)
    completeness, preference = np.zeros(len(table.responses)), np.zeros(len(table.responses))
    for heads, questions in parts:
        for name, p in predicted.items():
            segments: Segments = getattr(table, name)
            chosen = np.isin(segments.question, questions)
            head = getattr(heads, name)
            p[chosen] = head.probabilities(segments.x[chosen])
            errors[name][chosen] = p[chosen] >= head.threshold
        missing[questions] = heads.missing.probabilities(table.responses[4 * questions])
        missed[questions] = missing[questions] >= heads.missing.threshold
        rows = (4 * questions[:, None] + np.arange(4)).ravel()
        completeness[rows] = heads.completeness.logits(table.responses[rows])
        preference[rows] = heads.preference.logits(table.responses[rows])
    count = len(table.keys)

    def binary(segments: Segments, name: str, kept: NDArray[np.bool_], baseline: str) -> dict[str, Any]:
        y, p, decided = segments.y[kept], predicted[name][kept], errors[name][kept]
        rate = _mean(y)
        trivial = round(max(rate, 1 - rate) if baseline == "majority" else 1 - rate, 4)
        return binary_agreement(y, p, decided, segments.question[kept], count) | {"baselines": {baseline: trivial}}

    def pairwise(scores: Matrix, pairs: Pairs, baselines: dict[str, float]) -> dict[str, Any]:
        margins = scores[pairs.better] - scores[pairs.worse]
        return pairwise_agreement(margins, pairs.question, count) | {"baselines": baselines}

    longer = table.words.astype(np.float64)
    every = np.arange(count)
    rate = _mean(table.missing)
    return {
        "relevance": binary(table.relevance, "relevance", np.ones(len(table.relevance.y), dtype=bool), "majority"),
        "factuality": binary(table.factuality, "factuality", np.ones(len(table.factuality.y), dtype=bool), "no_error"),
        "factuality_paper_rule": binary(table.factuality, "factuality", ~table.factuality.only_relevance, "no_error"),
        "completeness": pairwise(completeness, table.coverage, {"longer": _accuracy(longer, table.coverage)}),
        "completeness_missing": binary_agreement(table.missing, missing, missed, every, count)
        | {"baselines": {"majority": max(rate, round(1 - rate, 4))}},
        "preference": pairwise(
            preference,
            table.preference,
            {
                "longer": _accuracy(longer, table.preference),
                "first": _mean(table.preference.better < table.preference.worse),
            },
        ),
    }


def _accuracy(scores: Matrix, pairs: Pairs) -> float:
    margin = scores[pairs.better] - scores[pairs.worse]
    return _mean((margin > 0) + 0.5 * (margin == 0))


def _mean(values: NDArray[Any]) -> float:
    return round(float(np.mean(values)), 4) if len(values) else 0.0
