import numpy as np

from rewards.dataset import FeedbackExample, SpanError
from rewards.evaluation.evaluate import Decisions
from rewards.evaluation.example_segments import KINDS, pick_examples

SENTENCES = (
    "The old mill on the river burned down in May.",
    "Many people of the town live there happily today.",
    "The lake behind the mill is very deep and cold.",
    "It was built by ten giants a long time ago.",
    "Nobody knows who paid for all of it at the time.",
)
TEXT = " ".join(SENTENCES)


def test_the_most_certain_segment_of_each_kind_is_picked():
    spans = [
        SpanError(label="Unverifiable", start=TEXT.index(SENTENCES[i]), end=TEXT.index(SENTENCES[i]) + 9)
        for i in (1, 3, 4)
    ]
    example = FeedbackExample(
        question="Where?", passages=(), passage_sentences=(), gold="", predictions=(TEXT, "", "", ""),
        errors=tuple(spans), missing=(), corrected="", preference=(0,) * 6,
    )  # fmt: skip
    p = np.array([0.9, 0.7, 0.1, 0.8, 0.2])
    rows = pick_examples([example], "factuality", Decisions(p, p > 0.5))
    assert [(r["kind"], r["segment"]) for r in rows] == [
        ("found", SENTENCES[3]), ("missed", SENTENCES[4]), ("rightly passed", SENTENCES[2]),
        ("false alarm", SENTENCES[0]),
    ]  # fmt: skip
    assert [r["kind"] for r in rows] == list(KINDS)
    assert rows[0]["marked"] == ["Unverifiable"]
    assert pick_examples([], "factuality", Decisions(p[:0], p[:0] > 0.5)) == []
