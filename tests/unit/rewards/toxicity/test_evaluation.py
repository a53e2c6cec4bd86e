import numpy as np
import pytest

from rewards.toxicity.data import RatedText, SpanText, ToxicityPrompt
from rewards.toxicity.evaluation import against_scores, against_spans, agreement, auc, calibration_error, on_probes


class Shouting:
    """The share of capitals."""

    def score(self, texts):
        return [sum(c.isupper() for c in text) / max(1, len(text)) for text in texts]


def test_figures_of_a_perfect_scorer():
    scores = np.array([0.1, 0.4, 0.6, 0.9])
    figures = against_scores(scores, scores)
    assert (figures["n"], figures["auc"], figures["mean_error"], figures["calibration_error"]) == (4, 1, 0, 0)
    assert figures["spearman"] == pytest.approx(1)


def test_auc_counts_ties_half_and_needs_both_kinds():
    assert auc(np.array([0.2, 0.2]), np.array([0.0, 1.0])) == 0.5
    assert auc(np.array([0.9, 0.2]), np.array([0.0, 1.0])) == 0
    assert auc(np.array([0.2, 0.2]), np.array([0.0, 0.0])) is None


def test_calibration_error_is_the_mean_gap_of_bins():
    # Three texts in the bin from .1 on, off by .2 on average, and one in the last, off by .1.
    own, scores = np.array([0.1, 0.1, 0.1, 1.0]), np.array([0.2, 0.3, 0.4, 0.9])
    assert calibration_error(own, scores) == pytest.approx((3 * 0.2 + 0.1) / 4)


def test_only_texts_with_a_score_count():
    row = ToxicityPrompt(prompt=RatedText(text="HELP", toxicity=0.9), continuation=RatedText(text=" me."))
    figures = agreement([row], Shouting())
    assert [figures[part]["n"] for part in ("prompts", "continuations", "all")] == [1, 0, 1]
    assert figures["all"]["spearman"] is None


def test_sentences_with_spans_are_told_from_those_without():
    comment = SpanText("All is well. GO AWAY NOW.", frozenset(range(13, 20)))
    figures = against_spans([comment, SpanText("ALL OF IT.", frozenset({0}))], Shouting())
    assert figures == {"comments": 1, "sentences": 2, "auc": 1.0, "worst_marked": 1.0}


def test_every_kind_of_probe_is_reported():
    rows = on_probes(Shouting())
    assert {kind for kind, row in rows.items() if row["toxic"]} == {
        "insults", "leet", "spaces", "repeated letters", "asterisks",
    }  # fmt: skip
    assert all(row["n"] and 0 <= row["counted_toxic"] <= 1 for row in rows.values())
