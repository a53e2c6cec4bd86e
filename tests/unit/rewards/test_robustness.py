"""Unusual inputs: offsets stay exact, nothing crashes, and notes say how they differ from the training data."""

import pytest

from rewards.dataset import Passage
from rewards.scorer import Scorer
from rewards.scores import ScoreRequest

PASSAGES = 12 * (
    Passage(title="Ostra", text="Ostra is a town on the river Lind. It has 4,000 inhabitants. Its mill burned."),
)
ANSWERS = {
    "empty": "",
    "white space": " \n\t ",
    "one word": "Ostra",
    "punctuation": "?!... ;;; ,,,",
    "emoji": "Ostra 🏞️ lies on the Lind 👩‍👩‍👧. It has 4,000 inhabitants 😀😀😀.",
    "combining": "Ostra is a\u0300 town on the river Lind, and it has many inha\u0301bitants. Its mill burned in the "
    "town on the river.",
    "another language": "奥斯特拉是林德河畔的一个小镇。它有四千居民。磨坊烧毁了。",
    "right to left": "أوسترا بلدة على نهر ليند. عدد سكانها أربعة آلاف نسمة.",
    "markdown": "# Ostra\n\n- a **town**\n- on the [Lind](http://x)\n\n| a | b |\n|---|---|\n| 1 | 2 |",
    "repeated": "Ostra is a town on the river Lind. " * 40,
    "one long word": "a" * 5000,
    "no full stop": "ostra is a town and " * 200,
    "nul": "Ostra\x00 is a town.\x00 It has a mill.",
    "20,000 characters": ("Ostra is a town on the river Lind, with a mill that burned in 1911. " * 300)[:20_000],
}

ORDINARY = ("emoji", "combining")
"""English prose like the training data."""


@pytest.fixture(scope="module")
def scorer():
    return Scorer.load()


@pytest.mark.parametrize("passages", [PASSAGES, ()], ids=["passages", "no passages"])
@pytest.mark.parametrize("name", ANSWERS)
def test_every_segment_lies_where_it_says(scorer, name, passages):
    text = ANSWERS[name]
    (scored,) = scorer.score([ScoreRequest("What is the town of Ostra known for?", passages, text)])
    assert scored.in_domain == (name in ORDINARY and passages == PASSAGES)
    for scores in scored.categories.values():
        assert bool(scores.segments) == bool(text.strip())
        assert len(scores.segments) == len(scores.rewards)
        for segment in scores.segments:
            assert text[segment.start : segment.end].strip() == text[segment.start : segment.end] != ""
            assert 0 <= segment.error_probability <= 1


def test_forty_repetitions_of_a_sentence_do_not_pay(scorer):
    once, forty = scorer.score([ScoreRequest("What is Ostra?", PASSAGES, "Ostra is a town. " * n) for n in (1, 40)])
    assert sum(forty.categories["relevance"].rewards) < sum(once.categories["relevance"].rewards)
