import numpy as np

from rewards.dataset import FeedbackExample, SpanError
from rewards.evaluation.card_figures import detected_by_label, overlap, reliability

TEXT = "It lies by the sea. It was built by ten giants. It is old and it is old and old."
SPANS = (("Unverifiable", "built by ten giants"), ("Redundant", "It is old and it is old"))


def example(spans):
    errors = tuple(
        SpanError(label=label, start=TEXT.index(part), end=TEXT.index(part) + len(part)) for label, part in spans
    )
    return FeedbackExample(
        question="Where?", passages=(), passage_sentences=(), gold="", predictions=(TEXT, "", "", ""),
        errors=errors, missing=(), corrected="", preference=(0,) * 6,
    )  # fmt: skip


def test_reliability_compares_predicted_with_observed():
    p, labels = np.repeat([0.1, 0.9], 100), np.arange(200) >= 110
    bins = reliability(p, labels)
    assert [b["n"] for b in bins] == [20] * 10
    assert [b["predicted"] for b in bins] == [0.1] * 5 + [0.9] * 5
    assert bins[5]["observed"] == 0.5


def test_errors_are_detected_where_the_spans_of_a_label_are():
    detected = detected_by_label([example(SPANS)], "factuality", np.array([False, True, True]))
    assert detected == {"Wrong-Grounding": {"n": 0, "detected": 0.0}, "Unverifiable": {"n": 1, "detected": 1.0}}


def test_overlap_counts_sentences_by_what_people_marked():
    both = example((*SPANS, ("Irrelevant", "It was built by ten giants.")))
    errors = {"relevance": np.array([False, True, False]), "factuality": np.array([True, True, False])}
    cells = overlap([both], errors)
    assert {name: cell["sentences"] for name, cell in cells.items()} == {
        "both": 1, "relevance only": 1, "factuality only": 0, "neither": 1,
    }  # fmt: skip
    assert cells["both"] == {"sentences": 1, "relevance_model": 1.0, "factuality_model": 1.0}
    assert cells["neither"] == {"sentences": 1, "relevance_model": 0.0, "factuality_model": 1.0}
