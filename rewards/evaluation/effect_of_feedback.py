"""What new feedback changed: agreement with people before it and with it, on the questions fitted on before and on
the new ones. No question is ever judged by heads that saw it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rewards.evaluation.evaluate import Decisions, Predictions, agreement, out_of_fold, predict
from rewards.fitting.feedback_table import FeedbackTable, Pairs, Segments
from rewards.fitting.folds import FOLDS
from rewards.heads.linear import Heads
from rewards.models.recipe import FitRecipe

Rows = NDArray[np.int64]


def effect_of_feedback(table: FeedbackTable, recipe: FitRecipe, before: Heads, known: frozenset[str]) -> dict[str, Any]:
    """Agreement on the old and the new questions of a table, before and after.

    `before` are the heads that there were, `known` the keys of the questions that they were fitted on. Before, the old
    questions are judged by heads fitted on the other folds of the old ones, the new ones by `before`; after, both by
    heads fitted on the other folds of all. A part that is too small to be told has None.
    """
    old = np.array([row for row, key in enumerate(table.keys) if key in known], dtype=np.int64)
    new = np.setdiff1d(np.arange(len(table.keys)), old)
    report: dict[str, Any] = {}
    together = out_of_fold(table, recipe) if len(new) else None
    for name, rows in (("old", old), ("new", new)):
        part: dict[str, Any] = {"questions": len({table.keys[row] for row in rows}), "annotations": len(rows)}
        part |= {"before": None, "after": None}
        if len(rows) >= (2 * FOLDS if name == "old" else 1):
            chosen = select_rows(table, rows)
            said = out_of_fold(chosen, recipe) if name == "old" else predict(chosen, [(before, np.arange(len(rows)))])
            part["before"] = agreement(chosen, said)
            part["after"] = agreement(chosen, select_predictions(table, together, rows)) if together else part["before"]
        report[name] = part
    return report


def select_rows(table: FeedbackTable, rows: Rows) -> FeedbackTable:
    """Some rows of a table, R of them, as a table."""
    responses = (4 * rows[:, None] + np.arange(4)).ravel()
    return FeedbackTable(
        keys=[table.keys[row] for row in rows],
        relevance=_segments(table.relevance, rows),
        factuality=_segments(table.factuality, rows),
        responses=table.responses[responses],
        words=table.words[responses],
        missing=table.missing[rows],
        coverage=_pairs(table.coverage, rows),
        preference=_pairs(table.preference, rows),
    )


def select_predictions(table: FeedbackTable, said: Predictions, rows: Rows) -> Predictions:
    """What is said of some rows of a table, in the order of `select`."""
    responses = (4 * rows[:, None] + np.arange(4)).ravel()

    def of(decided: Decisions, chosen: NDArray[Any]) -> Decisions:
        return Decisions(decided.probabilities[chosen], decided.errors[chosen])

    return Predictions(
        relevance=of(said.relevance, np.isin(table.relevance.question, rows)),
        factuality=of(said.factuality, np.isin(table.factuality.question, rows)),
        missing=of(said.missing, rows),
        completeness=said.completeness[responses],
        preference=said.preference[responses],
    )


def _segments(segments: Segments, rows: Rows) -> Segments:
    chosen = np.isin(segments.question, rows)
    return Segments(
        x=segments.x[chosen],
        y=segments.y[chosen],
        question=np.searchsorted(rows, segments.question[chosen]),
        only_relevance=segments.only_relevance[chosen],
    )


def _pairs(pairs: Pairs, rows: Rows) -> Pairs:
    chosen = np.isin(pairs.question, rows)
    question = np.searchsorted(rows, pairs.question[chosen])
    shift = 4 * (question - pairs.question[chosen])
    return Pairs(pairs.better[chosen] + shift, pairs.worse[chosen] + shift, question)
