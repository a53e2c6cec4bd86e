"""What new feedback changes, on made-up features whose meaning is known."""

import numpy as np

from rewards.evaluation.effect_of_feedback import effect_of_feedback, select_predictions
from rewards.evaluation.evaluate import agreement, out_of_fold, predict
from rewards.fitting.feedback_table import select_rows
from rewards.fitting.fit_heads import fit_heads
from rewards.models.recipe import load_recipe

RECIPE = load_recipe()


def test_predictions_on_some_rows_agree_like_predictions_on_a_table_of_them(made_up_table, joined):
    whole = joined(made_up_table(12, 1), made_up_table(15, 2))
    heads = fit_heads(whole, np.arange(27), RECIPE)
    rows = np.arange(12, 27)
    chosen = select_rows(whole, rows)
    directly = agreement(chosen, predict(chosen, [(heads, np.arange(15))]))
    assert agreement(chosen, select_predictions(whole, predict(whole, [(heads, np.arange(27))]), rows)) == directly


def test_new_feedback_that_contradicts_the_old_changes_the_figures_on_new_questions(made_up_table, joined):
    """On the new questions the feature means the opposite: the old heads are worse than chance there."""
    old, new = made_up_table(20, 1), made_up_table(60, 2, sign=-1.0)
    before = fit_heads(old, np.arange(20), RECIPE)
    report = effect_of_feedback(joined(old, new), RECIPE, before, frozenset(old.keys))
    assert (report["old"]["questions"], report["new"]["questions"]) == (20, 60)
    assert report["new"]["before"]["relevance"]["auc"] < 0.3
    assert report["new"]["after"]["relevance"]["auc"] > 0.6
    assert report["old"]["after"]["relevance"]["auc"] < report["old"]["before"]["relevance"]["auc"]
    assert report["old"]["before"] == agreement(old, out_of_fold(old, RECIPE))


def test_too_few_old_questions_have_no_figures_from_before(made_up_table, joined):
    old, new = made_up_table(5, 1), made_up_table(20, 2)
    heads = fit_heads(new, np.arange(20), RECIPE)
    report = effect_of_feedback(joined(old, new), RECIPE, heads, frozenset(old.keys))
    assert report["old"]["before"] is None
    assert report["new"]["before"] is not None
