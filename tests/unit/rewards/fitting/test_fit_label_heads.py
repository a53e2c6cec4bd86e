import numpy as np
import pytest

from rewards.categories import BUILT_IN
from rewards.dataset import SAMPLE, load_feedback
from rewards.features.extractor import RESPONSE_FEATURES, SEGMENT_FEATURES, Extractor
from rewards.fitting.feedback_table import tabulate_feedback
from rewards.fitting.fit_label_heads import LabelledErrors, evaluate_label_head, fit_label_heads, labelled_errors


@pytest.fixture(scope="module")
def rows():
    return load_feedback(SAMPLE / "feedback.json")


@pytest.fixture(scope="module")
def table(rows):
    return tabulate_feedback(rows, Extractor())


def errors(told, common="Wrong-Grounding", rarer="Unverifiable"):
    """Two labels over 60 questions, told by the first feature in so many of all cases."""
    rng = np.random.default_rng(0)
    rare = rng.random(240) < 0.3
    x = rng.normal(size=(240, 2))
    x[:, 0] += np.where(rng.random(240) < told, np.where(rare, 20.0, -20.0), 0.0)
    labels = np.where(rare, rarer, common)
    return LabelledErrors(("one", "two"), x, labels, np.repeat(np.arange(60), 4))


def test_marked_errors_have_their_labels_and_features(rows, table):
    named = labelled_errors(rows, table)
    assert list(named) == list(BUILT_IN)
    for name, x, y in (
        ("relevance", table.relevance.x, table.relevance.y),
        ("factuality", table.factuality.x, table.factuality.y),
        ("completeness", table.annotated, table.missing),
    ):
        assert np.array_equal(named[name].x, x[y])
        assert set(named[name].labels) <= set(BUILT_IN[name].labels)
    assert named["relevance"].features == SEGMENT_FEATURES
    assert named["completeness"].features == RESPONSE_FEATURES
    assert np.array_equal(named["completeness"].question, np.flatnonzero(table.missing))


def test_labels_that_features_determine_are_predicted_on_held_out_questions():
    figures = evaluate_label_head("factuality", errors(told=1.0), 60)
    assert figures["accuracy"] > 0.95
    assert figures["worth"]


def test_labels_that_nothing_determines_are_predicted_no_better_than_the_commonest():
    figures = evaluate_label_head("factuality", errors(told=0.0), 60)
    assert not figures["worth"]
    assert figures["baselines"]["majority"] == pytest.approx(0.7, abs=0.06)


def test_only_heads_whose_labels_are_worth_showing_are_kept(rows, table, monkeypatch):
    made = {"relevance": errors(0.0, "Irrelevant", "Redundant"), "factuality": errors(told=1.0)}
    monkeypatch.setattr("rewards.fitting.fit_label_heads.labelled_errors", lambda examples, table: made)
    heads, agreement = fit_label_heads(rows * 3, table)
    assert set(heads) == {"factuality"}
    assert set(agreement) == set(made)
    assert heads["factuality"].most_likely(np.array([[30.0, 0.0], [-30.0, 0.0]])) == ["Unverifiable", "Wrong-Grounding"]
