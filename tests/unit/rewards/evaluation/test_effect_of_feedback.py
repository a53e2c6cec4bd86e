"""What new feedback changed, on made-up features whose meaning is known."""

from dataclasses import replace

import numpy as np
import pytest

from rewards.evaluation.effect_of_feedback import effect_of_feedback, select_predictions, select_rows
from rewards.evaluation.evaluate import agreement, out_of_fold, predict
from rewards.features.extractor import RESPONSE_FEATURES, SEGMENT_FEATURES
from rewards.fitting.feedback_table import FeedbackTable, Pairs, Segments
from rewards.fitting.fit_heads import fit_heads
from rewards.fitting.folds import split_folds
from rewards.models.recipe import load_recipe

RECIPE = load_recipe()
WORDS = SEGMENT_FEATURES.index("words")


def segments(rows: int, rng: np.random.Generator, sign: float = 1.0) -> Segments:
    """Three segments a row; one feature decides which are errors, nearly always."""
    x = rng.normal(size=(3 * rows, len(SEGMENT_FEATURES)))
    y = sign * x[:, WORDS] + 0.3 * rng.normal(size=3 * rows) > 0
    return Segments(x, y, np.repeat(np.arange(rows), 3), np.zeros(3 * rows, dtype=bool))


def table(rows: int, seed: int = 0, sign: float = 1.0) -> FeedbackTable:
    rng = np.random.default_rng(seed)
    responses = rng.normal(size=(4 * rows, len(RESPONSE_FEATURES)))
    first = 4 * np.arange(rows)
    ahead = responses[first, 0] > responses[first + 1, 0]
    pairs = Pairs(np.where(ahead, first, first + 1), np.where(ahead, first + 1, first), np.arange(rows))
    missing = responses[first, 0] + 0.3 * rng.normal(size=rows) > 0
    return FeedbackTable(
        [f"{seed}-{row}" for row in range(rows)], segments(rows, rng, sign), segments(rows, rng, sign),
        responses, rng.integers(5, 50, size=4 * rows), missing, pairs, pairs,
    )  # fmt: skip


def joined(one: FeedbackTable, other: FeedbackTable) -> FeedbackTable:
    shift = len(one.keys)

    def both(a: Segments, b: Segments) -> Segments:
        return Segments(
            np.concatenate([a.x, b.x]), np.concatenate([a.y, b.y]), np.concatenate([a.question, b.question + shift]),
            np.concatenate([a.only_relevance, b.only_relevance]),
        )  # fmt: skip

    pairs = Pairs(
        np.concatenate([one.coverage.better, other.coverage.better + 4 * shift]),
        np.concatenate([one.coverage.worse, other.coverage.worse + 4 * shift]),
        np.concatenate([one.coverage.question, other.coverage.question + shift]),
    )
    return FeedbackTable(
        one.keys + other.keys, both(one.relevance, other.relevance), both(one.factuality, other.factuality),
        np.concatenate([one.responses, other.responses]), np.concatenate([one.words, other.words]),
        np.concatenate([one.missing, other.missing]), pairs, pairs,
    )  # fmt: skip


def test_some_rows_of_a_table_are_a_table() -> None:
    one, other = table(12, 1), table(15, 2)
    rows = np.arange(12, 27)
    chosen = select_rows(joined(one, other), rows)
    assert chosen.keys == other.keys
    for name in ("relevance", "factuality"):
        for field in ("x", "y", "question", "only_relevance"):
            np.testing.assert_array_equal(getattr(getattr(chosen, name), field), getattr(getattr(other, name), field))
    for field in ("better", "worse", "question"):
        np.testing.assert_array_equal(getattr(chosen.coverage, field), getattr(other.coverage, field))
    np.testing.assert_array_equal(chosen.responses, other.responses)


def test_predictions_of_some_rows_are_judged_as_theirs() -> None:
    whole = joined(table(12, 1), table(15, 2))
    heads = fit_heads(whole, np.arange(27), RECIPE)
    rows = np.arange(12, 27)
    chosen = select_rows(whole, rows)
    directly = agreement(chosen, predict(chosen, [(heads, np.arange(15))]))
    assert agreement(chosen, select_predictions(whole, predict(whole, [(heads, np.arange(27))]), rows)) == directly


def test_new_feedback_that_says_otherwise_changes_the_figures_on_new_questions() -> None:
    """On the new questions the feature means the opposite: the old heads are worse than chance there."""
    old, new = table(20, 1), table(60, 2, sign=-1.0)
    before = fit_heads(old, np.arange(20), RECIPE)
    report = effect_of_feedback(joined(old, new), RECIPE, before, frozenset(old.keys))
    assert (report["old"]["questions"], report["new"]["questions"]) == (20, 60)
    assert report["new"]["before"]["relevance"]["auc"] < 0.3
    assert report["new"]["after"]["relevance"]["auc"] > 0.6
    assert report["old"]["after"]["relevance"]["auc"] < report["old"]["before"]["relevance"]["auc"]
    assert report["old"]["before"] == agreement(old, out_of_fold(old, RECIPE))


def test_a_few_old_questions_have_no_figures_of_before() -> None:
    old, new = table(5, 1), table(20, 2)
    report = effect_of_feedback(joined(old, new), RECIPE, fit_heads(new, np.arange(20), RECIPE), frozenset(old.keys))
    assert report["old"]["before"] is None
    assert report["new"]["before"] is not None


def test_folds_keep_rows_of_one_question_together() -> None:
    groups = np.array([0, 1, 0, 3, 4, 3, 6, 7])
    parts = split_folds(np.arange(8), 3, groups)
    for rest, fold in parts:
        assert not set(groups[rest]) & set(groups[fold])
        assert sorted([*rest, *fold]) == list(range(8))
    assert sorted(row for _, fold in parts for row in fold) == list(range(8))


def test_without_shared_questions_folds_are_as_they_were() -> None:
    """The shipped reward models were fitted on these folds."""
    rows = np.arange(23)
    expected = [np.sort(part) for part in np.array_split(np.random.default_rng(0).permutation(rows), 5)]
    for groups in (None, rows):
        for (rest, fold), wanted in zip(split_folds(rows, 5, groups), expected, strict=True):
            np.testing.assert_array_equal(fold, wanted)
            np.testing.assert_array_equal(rest, np.setdiff1d(rows, wanted))


def test_rows_of_one_question_count_once_in_intervals() -> None:
    one = table(20, 3)
    said = predict(one, [(fit_heads(one, np.arange(20), RECIPE), np.arange(20))])
    alone = agreement(one, said)["relevance"]
    paired = [one.keys[row - row % 2] for row in range(20)]
    half = agreement(replace(one, keys=paired), said)
    assert half["relevance"]["accuracy"] == pytest.approx(alone["accuracy"])
    assert half["relevance"]["interval"] != alone["interval"]
