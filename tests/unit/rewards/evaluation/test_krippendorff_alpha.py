import numpy as np
import pytest

from rewards.dataset import FeedbackExample, MissingInfo, SpanError
from rewards.evaluation.krippendorff_alpha import alpha_of_corrections, krippendorff_alpha


def example(text, corrected, errors=(), missing=()):
    return FeedbackExample(
        question="Where?", passages=(), passage_sentences=(), gold="", predictions=(text, "", "", ""),
        errors=errors, missing=missing, corrected=corrected, preference=(0,) * 6,
    )  # fmt: skip


def mark(text, part, label):
    return SpanError(label=label, start=text.index(part), end=text.index(part) + len(part))


def test_alpha_of_hand_computed_labels():
    # Two of ten pairs differ: observed disagreement 0.2. Of the 20 labels 8 are 1, so the disagreement expected by
    # chance is 2 * 8 * 12 / (20 * 19).
    labels = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0], dtype=bool)
    others = np.array([1, 1, 1, 0, 1, 0, 0, 0, 0, 0], dtype=bool)
    assert krippendorff_alpha(labels, others) == pytest.approx(1 - 0.2 / (2 * 8 * 12 / (20 * 19)), abs=1e-4)
    assert krippendorff_alpha(labels, labels) == 1
    assert krippendorff_alpha(labels, ~labels) < 0


def test_without_different_labels_there_is_no_alpha():
    assert krippendorff_alpha(np.ones(3, dtype=bool), np.ones(3, dtype=bool)) is None
    assert krippendorff_alpha(np.zeros(0, dtype=bool), np.zeros(0, dtype=bool)) is None


def test_an_annotator_who_corrects_exactly_the_marks_agrees_with_them():
    text = "The old mill burned in May. Many people live there happily today. The lake is deep and cold."
    gone = example(text, "The old mill burned in May. The lake is deep and cold.", (
        mark(text, "Many people live there happily today.", "Irrelevant"),
    ))  # fmt: skip
    wrong = example(text, text.replace("May", "June"), (mark(text, "May", "Wrong-Grounding"),))
    complete = example(text, text)
    told = example(text, text + " It was rebuilt.", missing=(
        MissingInfo(label="Missing-Answer", passage_id=1, sentence_id=(1,)),
    ))  # fmt: skip
    assert alpha_of_corrections([gone, wrong, complete, told]) == {
        "relevance": 1.0, "factuality": 1.0, "completeness": 1.0,
    }  # fmt: skip
    unchanged = example(text, text, gone.errors)
    assert alpha_of_corrections([gone, unchanged, wrong])["relevance"] < 1


def test_without_corrections_there_is_nothing_to_compare():
    assert alpha_of_corrections([example("It is old.", "")]) == {
        "relevance": None, "factuality": None, "completeness": None,
    }  # fmt: skip
