"""What new feedback changes: agreement with people before and after it, on the old questions and on the new ones.

No question is ever evaluated with heads that were fitted on it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rewards.evaluation.evaluate import Decisions, Predictions, agreement, out_of_fold, predict
from rewards.fitting.feedback_table import FeedbackTable, response_rows, select_rows
from rewards.fitting.folds import MIN_QUESTIONS
from rewards.heads.linear import Heads
from rewards.models.recipe import FitRecipe


def effect_of_feedback(
    table: FeedbackTable, recipe: FitRecipe, before: Heads, old_questions: frozenset[str]
) -> dict[str, Any]:
    """Agreement on the old and the new questions of a table, before and after the new feedback.

    `before` are the previous heads, and `old_questions` the keys of the questions they were fitted on. Before, heads
    fitted on the other folds of the old questions predict the old ones, and `before` the new ones; after, heads fitted
    on the other folds of all questions predict both. Figures are None for a part that is too small.
    """
    old = np.array([row for row, key in enumerate(table.keys) if key in old_questions], dtype=np.int64)
    new = np.setdiff1d(np.arange(len(table.keys)), old)
    report: dict[str, Any] = {}
    with_all = out_of_fold(table, recipe, before=before) if len(new) else None
    for name, rows in (("old", old), ("new", new)):
        part: dict[str, Any] = {"questions": len({table.keys[row] for row in rows}), "annotations": len(rows)}
        part |= {"before": None, "after": None}
        if len(rows) >= (MIN_QUESTIONS if name == "old" else 1):
            chosen = select_rows(table, rows)
            if name == "old":
                predictions = out_of_fold(chosen, recipe, before=before)
            else:
                predictions = predict(chosen, [(before, np.arange(len(rows)))])
            part["before"] = agreement(chosen, predictions)
            part["after"] = agreement(chosen, select_predictions(table, with_all, rows)) if with_all else part["before"]
        report[name] = part
    return report


def select_predictions(table: FeedbackTable, predictions: Predictions, rows: NDArray[np.int64]) -> Predictions:
    """The predictions on some rows of a table, in the order of `select_rows`."""
    responses = response_rows(rows)

    def select(decisions: Decisions, chosen: NDArray[Any]) -> Decisions:
        return Decisions(decisions.probabilities[chosen], decisions.errors[chosen])

    return Predictions(
        relevance=select(predictions.relevance, np.isin(table.relevance.question, rows)),
        factuality=select(predictions.factuality, np.isin(table.factuality.question, rows)),
        missing=select(predictions.missing, rows),
        completeness=predictions.completeness[responses],
        preference=predictions.preference[responses],
    )
