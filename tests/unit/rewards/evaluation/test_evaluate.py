"""Agreement with people, on made-up features whose meaning is known."""

from dataclasses import replace

import numpy as np
import pytest

from rewards.evaluation.evaluate import Decisions, Predictions, agreement, cross_validate, predict
from rewards.features.extractor import SEGMENT_FEATURES
from rewards.fitting.fit_heads import fit_heads
from rewards.fitting.reference_table import ReferenceTable
from rewards.models.recipe import ReferenceRecipe, load_recipe

RECIPE = load_recipe()
WORDS = SEGMENT_FEATURES.index("words")


def test_heads_learn_what_decides_and_are_compared_with_baselines_computed_by_hand(made_up_table):
    table = made_up_table(80)
    report = cross_validate(table, RECIPE)
    errors, no_errors = np.mean(table.relevance.y), 1 - np.mean(table.factuality.y)
    better, worse = table.preference.better, table.preference.worse
    longer = np.mean(np.sign(table.words[better] - table.words[worse]) / 2 + 0.5)
    assert report["relevance"]["baselines"] == {"majority": pytest.approx(max(errors, 1 - errors), abs=1e-4)}
    assert report["factuality"]["baselines"] == {"no_error": pytest.approx(no_errors, abs=1e-4)}
    assert report["completeness"]["baselines"] == {"longer": pytest.approx(longer, abs=1e-4)}
    assert report["preference"]["baselines"] == {
        "longer": pytest.approx(longer, abs=1e-4), "first": pytest.approx(np.mean(better < worse), abs=1e-4),
    }  # fmt: skip
    for name in ("relevance", "factuality"):
        assert report[name]["accuracy"] > 0.8 > max(report[name]["baselines"].values()) + 0.1
    assert report["preference"]["pairwise_accuracy"] > 0.8


def test_sentences_with_only_relevance_errors_do_not_count_by_the_papers_rule(made_up_table):
    table = made_up_table(4)
    left_out = np.arange(12) < 3
    factuality = replace(table.factuality, only_relevance=left_out, y=np.arange(12) % 2 == 0)
    # Right everywhere but on the first of the sentences that are left out.
    errors = factuality.y ^ (np.arange(12) == 0)
    decisions = Decisions(errors.astype(float), errors)
    nothing = np.zeros(len(table.responses))
    missing = Decisions(np.zeros(4), np.zeros(4, dtype=bool))
    figures = agreement(
        replace(table, factuality=factuality), Predictions(decisions, decisions, missing, nothing, nothing)
    )
    assert (figures["factuality"]["n"], figures["factuality_paper_rule"]["n"]) == (12, 9)
    assert figures["factuality"]["accuracy"] == pytest.approx(11 / 12, abs=1e-4)
    assert figures["factuality_paper_rule"]["accuracy"] == 1


def test_rows_of_one_question_count_once_in_intervals(made_up_table):
    table = made_up_table(20, 3)
    predictions = predict(table, [(fit_heads(table, np.arange(20), RECIPE), np.arange(20))])
    alone = agreement(table, predictions)["relevance"]
    paired = [table.keys[row - row % 2] for row in range(20)]
    half = agreement(replace(table, keys=paired), predictions)["relevance"]
    assert half["accuracy"] == pytest.approx(alone["accuracy"])
    assert half["interval"] != alone["interval"]


def test_labels_from_references_count_as_much_as_the_recipe_says(made_up_table):
    table, opposite = made_up_table(40), made_up_table(40, sign=-1.0)
    says = ReferenceTable(opposite.relevance, opposite.factuality, opposite.responses, opposite.coverage)
    both = replace(table, references=says)
    rows = np.arange(40)

    def weight(counted):
        recipe = RECIPE.model_copy(update={"references": ReferenceRecipe(relevance=counted, completeness=counted)})
        heads = fit_heads(both, rows, recipe)
        return heads.relevance.weight[WORDS], heads.completeness.weight

    alone = fit_heads(table, rows, RECIPE.model_copy(update={"references": ReferenceRecipe()}))
    assert weight(0.0) == (alone.relevance.weight[WORDS], alone.completeness.weight)
    assert weight(0.0)[0] > weight(0.3)[0] > weight(3.0)[0]
    assert weight(0.3)[1] != alone.completeness.weight
