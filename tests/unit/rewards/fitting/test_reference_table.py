from types import SimpleNamespace

import numpy as np
import pytest

from rewards.dataset import FeedbackExample, Passage
from rewards.features.extractor import RESPONSE_FEATURES, SEGMENT_FEATURES, ResponseFeatures
from rewards.fitting.reference_table import NO_REFERENCES, select_references, tabulate_references
from rewards.segmentation import sentences, sub_sentences

PASSAGE = "The mill burned in 1911. Ostra has 4000 people. Ostra lies on the Lind. Trains leave at noon."


class Counting:
    """An extractor whose features of a segment are all its start, and of a response all its length."""

    encoder = SimpleNamespace(encode=lambda texts: np.eye(1, 4, dtype=np.float32).repeat(len(texts), axis=0))

    def extract(self, requests):
        def rows(spans):
            return np.array([[a] * len(SEGMENT_FEATURES) for a, _ in spans], dtype=float).reshape(
                -1, len(SEGMENT_FEATURES)
            )

        return [
            ResponseFeatures(
                sub_sentences(r.response), sentences(r.response), rows(sub_sentences(r.response)),
                rows(sentences(r.response)), np.full(len(RESPONSE_FEATURES), float(len(r.response))),
            )
            for r in requests
        ]  # fmt: skip


def example(**changes):
    return FeedbackExample(
        **{
            "question": "When did the mill of Ostra burn?", "passages": (Passage(title="Ostra", text=PASSAGE),),
            "passage_sentences": (), "gold": "Fire took the mill in 1911.", "predictions": ("It did.", "", "", ""),
            "errors": (), "missing": (), "corrected": "The mill burned in 1911.", "preference": (0,) * 6,
        }
        | changes
    )  # fmt: skip


def test_what_people_wrote_is_without_errors_and_copies_beside_the_answer_are_irrelevant():
    table = tabulate_references([example()], Counting())
    assert len(table.factuality.y) == 2
    assert not table.factuality.y.any()
    # Reference and correction are relevant, and so is the copied sentence about the mill; the other sentences are not.
    copied = table.relevance.y[2:-2]
    assert not table.relevance.y[:2].any()
    assert 0 < copied.sum() < len(copied)


def test_what_pads_a_correction_with_the_question_is_irrelevant_and_says_nothing_else():
    table = tabulate_references([example()], Counting())
    assert table.relevance.y[-2:].tolist() == [True, True]
    assert (table.relevance.x[-2:, 0] >= len("The mill burned in 1911.")).all()
    assert len(table.factuality.y) == 2


def test_the_reference_is_more_complete_than_extracts_that_lack_its_content():
    table = tabulate_references([example()], Counting())
    reference = float(len("Fire took the mill in 1911."))
    pairs = table.completeness
    assert len(pairs.better) == 2
    assert set(table.responses[pairs.better, 0]) == {reference}


@pytest.mark.parametrize("lacks", [{"gold": " "}, {"corrected": ""}, {"passages": ()}])
def test_rows_without_reference_correction_or_passages_say_nothing(lacks):
    assert tabulate_references([example(**lacks)], Counting()) is NO_REFERENCES
    both = tabulate_references([example(**lacks), example()], Counting())
    assert set(both.relevance.question) == {1}
    assert set(both.completeness.question) == {1}


def test_selected_rows_keep_their_labels_and_pairs():
    whole = tabulate_references([example(gold=" "), example(), example(corrected="Trains leave at noon.")], Counting())
    part = select_references(whole, np.array([0, 2]))
    assert set(part.relevance.question) == {1}
    assert part.relevance.y.tolist() == whole.relevance.y[whole.relevance.question == 2].tolist()
    assert len(part.completeness.better) == 2
    assert set(part.completeness.question) == {1}
