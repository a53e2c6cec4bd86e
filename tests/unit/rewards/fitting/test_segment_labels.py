import numpy as np

from rewards.dataset import FeedbackExample, MissingInfo, SpanError
from rewards.fitting.segment_labels import error_labels, missing_label, segment_labels
from rewards.segmentation import sentences

TEXT = "The mill was old and red and tall. It stood in Ostra and not in Lind. It burned."


def example(*spans, missing=()):
    errors = tuple(
        SpanError(label=label, start=TEXT.index(part), end=TEXT.index(part) + len(part)) for label, part in spans
    )
    return FeedbackExample(
        question="Where?", passages=(), passage_sentences=(), gold="", predictions=(TEXT, "", "", ""), errors=errors,
        missing=tuple(MissingInfo(label=label, passage_id=1, sentence_id=()) for label in missing),
        corrected="", preference=(0,) * 6,
    )  # fmt: skip


def test_a_segment_has_the_label_that_covers_most_of_it():
    row = example(
        ("Unverifiable", "It stood in Ostra and"),
        ("Wrong-Grounding", "not in Lind"),
        ("Wrong-Grounding", "not"),
        ("Wrong-Grounding", "burned"),
    )
    assert segment_labels(row, sentences(TEXT), "factuality") == [None, "Unverifiable", "Wrong-Grounding"]


def test_of_labels_that_cover_equally_much_the_first_of_the_category_counts():
    span = "The mill was old and red and tall."
    row = example(("Redundant", span), ("Irrelevant", span))
    assert segment_labels(row, sentences(TEXT), "relevance") == ["Irrelevant", None, None]


def test_a_segment_has_a_label_if_it_is_marked():
    row = example(
        ("Redundant", "The mill was old and red"), ("Irrelevant", "It burned"), ("Unverifiable", "not in Lind")
    )
    for category in ("relevance", "factuality"):
        named = [label is not None for label in segment_labels(row, sentences(TEXT), category)]
        assert np.array_equal(named, error_labels(row, sentences(TEXT), category))
    assert segment_labels(row, sentences(TEXT), "relevance") == ["Redundant", None, None]  # the other has two words


def test_missing_information_has_its_most_serious_label():
    assert missing_label(example()) is None
    assert missing_label(example(missing=("Missing-Minor-Auxiliary", "Missing-Answer"))) == "Missing-Answer"
    assert missing_label(example(missing=("Missing-Minor-Auxiliary",))) == "Missing-Minor-Auxiliary"
