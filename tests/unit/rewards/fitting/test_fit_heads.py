"""Heads on made-up features whose meaning is known."""

from dataclasses import replace

import numpy as np
import pytest

from rewards.errors import FgctlError
from rewards.evaluation.evaluate import cross_validate
from rewards.fitting.feedback_table import Pairs
from rewards.fitting.fit_heads import fit_heads, heads_without_examples
from rewards.models.recipe import load_recipe

RECIPE = load_recipe()
ROWS = np.arange(40)
NONE = np.zeros(0, dtype=np.int64)


@pytest.fixture
def spans_alone(made_up_table):
    """Feedback on factuality alone, without corrections and preferences."""
    table = made_up_table(40)
    silent = replace(table.relevance, y=np.zeros_like(table.relevance.y))
    nothing = Pairs(NONE, NONE, NONE)
    missing = np.zeros_like(table.missing)
    return replace(table, relevance=silent, missing=missing, coverage=nothing, preference=nothing)


def test_heads_without_examples_are_named(made_up_table, spans_alone):
    assert heads_without_examples(made_up_table(40), ROWS) == {}
    assert list(heads_without_examples(spans_alone, ROWS)) == ["relevance", "missing", "completeness", "preference"]
    with pytest.raises(FgctlError, match=r"no sub-sentence is irrelevant; .*too few answers are preferred to others"):
        fit_heads(spans_alone, ROWS, RECIPE)


def test_heads_with_examples_are_fitted_and_the_others_kept(made_up_table, spans_alone):
    before = fit_heads(made_up_table(20, 7), np.arange(20), RECIPE)
    heads = fit_heads(spans_alone, ROWS, RECIPE, before)
    assert heads.factuality == fit_heads(made_up_table(40), ROWS, RECIPE).factuality != before.factuality
    for name in ("relevance", "missing", "completeness", "preference"):
        assert getattr(heads, name) == getattr(before, name)


def test_what_is_not_fitted_has_no_figures(made_up_table, spans_alone):
    before = fit_heads(made_up_table(20, 7), np.arange(20), RECIPE)
    report = cross_validate(spans_alone, RECIPE, before=before)
    assert report["factuality"]["n"] == 120
    assert report["factuality"]["accuracy"] > 0.8
    for name in ("relevance", "completeness", "completeness_missing", "preference"):
        assert report[name]["n"] == 0
        assert set(report[name]["baselines"].values()) == {None}


def test_pairs_of_a_single_question_are_too_few(made_up_table):
    table = made_up_table(40)
    coverage = Pairs(table.coverage.better[:1], table.coverage.worse[:1], table.coverage.question[:1])
    assert list(heads_without_examples(replace(table, coverage=coverage), ROWS)) == ["completeness"]
