"""How well the reward models agree with people, compared with baselines that need no model."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rewards.categories import SEGMENT_CATEGORIES
from rewards.dataset import FeedbackExample, question_key
from rewards.errors import FgctlError
from rewards.features.extractor import Extractor
from rewards.fitting.feedback_table import FeedbackTable, response_rows, tabulate_feedback
from rewards.fitting.fit_heads import fit_heads, heads_without_examples
from rewards.fitting.folds import FOLDS, split_folds
from rewards.fitting.labelled import Pairs, Segments
from rewards.heads.linear import Heads, LinearHead
from rewards.models.feedback_rewards import FittedRewards
from rewards.models.recipe import FitRecipe
from rewards.statistics.agreement_with_people import binary_agreement, pairwise_agreement

Matrix = NDArray[np.float64]


def evaluate(
    examples: Sequence[FeedbackExample],
    extractor: Extractor,
    fitted: FittedRewards,
    fold_count: int | None = None,
    recipe: FitRecipe | None = None,
) -> dict[str, Any]:
    """Agreement with people on feedback.

    If the heads were fitted on none of its questions, they are evaluated as they are (`protocol` "held-out").
    Otherwise, or with `fold_count` or `recipe`, new heads are fitted and cross-validated over folds of the questions
    ("cross-validated"), by default with the recipe of the fitted heads. Raises FgctlError when there are too few rows
    for that.
    """
    if not examples:
        raise FgctlError("There is no feedback to evaluate on; name a file with at least one row.")
    seen = not {question_key(e.question) for e in examples}.isdisjoint(fitted.questions)
    if not seen and fold_count is None and recipe is None:
        table = tabulate_feedback(examples, extractor, references=False)
        predictions = predict(table, [(fitted.heads, np.arange(len(examples)))])
        return {"protocol": "held-out"} | agreement(table, predictions)
    count = fold_count or FOLDS
    questions = len({question_key(e.question) for e in examples})
    if questions < max(count, FOLDS):
        reason = "" if fold_count or recipe else "The reward models were fitted on some of these questions; "
        raise FgctlError(f"{reason}{questions} questions are too few to cross-validate over {count} folds; use more.")
    return cross_validate(tabulate_feedback(examples, extractor), recipe or fitted.recipe, count, fitted.heads)


def cross_validate(
    table: FeedbackTable, recipe: FitRecipe, count: int = FOLDS, before: Heads | None = None
) -> dict[str, Any]:
    """Agreement with people of heads fitted on all folds but one, on that one, pooled over folds.

    With `before`, heads that the table cannot teach have no figures (rewards.fitting.fit_heads).
    """
    unfitted = heads_without_examples(table, np.arange(len(table.keys)))
    figures = agreement(table, out_of_fold(table, recipe, count, before), unfitted)
    return {"protocol": "cross-validated", "folds": count} | figures


@dataclass(frozen=True)
class Decisions:
    """The decisions of a head on N segments."""

    probabilities: Matrix
    """float64 [N]"""
    errors: NDArray[np.bool_]
    """bool [N]: whether the probability reaches the threshold."""


@dataclass(frozen=True)
class Predictions:
    """The predictions of heads on a table of Q rows. R is RESPONSES_PER_QUESTION."""

    relevance: Decisions
    factuality: Decisions
    missing: Decisions
    """For the Q annotated responses."""
    completeness: Matrix
    """float64 [R Q]: log-odds."""
    preference: Matrix
    """float64 [R Q]: log-odds."""


def out_of_fold(
    table: FeedbackTable, recipe: FitRecipe, count: int = FOLDS, before: Heads | None = None
) -> Predictions:
    """Predictions on each fold of the questions by heads fitted on the other folds, or those of `before`."""
    folds = split_folds(np.arange(len(table.keys)), count, table.groups)
    return predict(table, [(fit_heads(table, rest, recipe, before), fold) for rest, fold in folds])


def predict(table: FeedbackTable, parts: Sequence[tuple[Heads, NDArray[np.int64]]]) -> Predictions:
    """Pool the predictions of each part's heads on its questions; zeros for questions of no part."""
    segments = {"relevance": table.relevance, "factuality": table.factuality}
    decided = {name: Decisions(np.zeros(len(s.y)), np.zeros(len(s.y), dtype=bool)) for name, s in segments.items()}
    missing = Decisions(np.zeros(len(table.missing)), np.zeros(len(table.missing), dtype=bool))
    scores = {name: np.zeros(len(table.responses)) for name in ("completeness", "preference")}
    for heads, questions in parts:
        for name, part in segments.items():
            _decide(decided[name], getattr(heads, name), part.x, np.isin(part.question, questions))
        _decide(missing, heads.missing, table.annotated, np.isin(np.arange(len(table.keys)), questions))
        rows = response_rows(questions)
        for name, values in scores.items():
            values[rows] = getattr(heads, name).logits(table.responses[rows])
    return Predictions(decided["relevance"], decided["factuality"], missing, **scores)


def _decide(into: Decisions, head: LinearHead, x: Matrix, chosen: NDArray[np.bool_]) -> None:
    into.probabilities[chosen] = head.probabilities(x[chosen])
    into.errors[chosen] = into.probabilities[chosen] >= head.threshold


def agreement(table: FeedbackTable, predictions: Predictions, unfitted: Collection[str] = ()) -> dict[str, Any]:
    """Every figure of agreement with people, with trivial baselines: the format of `rewards evaluate --json`.

    Figures are None where there is nothing to compare, and for the heads in `unfitted`.
    """
    # Intervals resample questions, and one question may have several rows.
    group = np.unique(table.groups, return_inverse=True)[1]
    count = len(set(table.keys))

    def binary(segments: Segments, decisions: Decisions, baseline: str, counted: NDArray[np.bool_]) -> dict[str, Any]:
        y, question = segments.y[counted], group[segments.question[counted]]
        clean = _mean(~y)
        trivial = clean if clean is None or baseline == "no_error" else max(clean, round(1 - clean, 4))
        figures = binary_agreement(y, decisions.probabilities[counted], decisions.errors[counted], question, count)
        return figures | {"baselines": {baseline: trivial}}

    def pairwise(scores: Matrix, pairs: Pairs, baselines: dict[str, float | None]) -> dict[str, Any]:
        margins = scores[pairs.better] - scores[pairs.worse]
        return pairwise_agreement(margins, group[pairs.question], count) | {"baselines": baselines}

    longer = table.words.astype(np.float64)
    relevance, factuality = table.relevance, table.factuality
    every_segment = {name: np.full(len(getattr(table, name).y), name not in unfitted) for name in SEGMENT_CATEGORIES}
    answers = np.full(len(table.keys), "missing" not in unfitted)
    lacking = table.missing[answers]
    clean = _mean(~lacking)
    coverage, preference = (
        Pairs(*(part[:0] for part in (pairs.better, pairs.worse, pairs.question))) if name in unfitted else pairs
        for name, pairs in (("completeness", table.coverage), ("preference", table.preference))
    )
    return {
        "relevance": binary(relevance, predictions.relevance, "majority", every_segment["relevance"]),
        "factuality": binary(factuality, predictions.factuality, "no_error", every_segment["factuality"]),
        "factuality_paper_rule": binary(
            factuality, predictions.factuality, "no_error", every_segment["factuality"] & ~factuality.only_relevance
        ),
        "completeness": pairwise(predictions.completeness, coverage, {"longer": _accuracy(longer, coverage)}),
        "completeness_missing": binary_agreement(
            lacking, predictions.missing.probabilities[answers], predictions.missing.errors[answers], group[answers],
            count,
        )
        | {"baselines": {"majority": None if clean is None else max(clean, round(1 - clean, 4))}},
        "preference": pairwise(
            predictions.preference,
            preference,
            {"longer": _accuracy(longer, preference), "first": _mean(preference.better < preference.worse)},
        ),
    }  # fmt: skip


def _accuracy(scores: Matrix, pairs: Pairs) -> float | None:
    margin = scores[pairs.better] - scores[pairs.worse]
    return _mean((margin > 0) + 0.5 * (margin == 0))


def _mean(values: NDArray[Any]) -> float | None:
    return round(float(np.mean(values)), 4) if len(values) else None
