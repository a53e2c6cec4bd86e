import numpy as np
import pytest

from rewards.features.expected_words import (
    CONTENT_FEATURES,
    WORD_FEATURES,
    PassageSentences,
    content_features,
    word_features,
)

PASSAGES = PassageSentences(
    titles=("Ostra", "Lind"),
    texts=("The mill burned in 1911.", "A school stands there.", "The Lind has a mill."),
    passage=(0, 0, 1),
    index=(0, 1, 0),
)


def test_words_carry_the_similarity_and_place_of_their_sentences():
    words, x = word_features("When did the mill burn?", PASSAGES, np.array([0.8, 0.1, 0.5]))
    mill = dict(zip(WORD_FEATURES, x[words.index("mill")], strict=True))
    assert mill["best similarity"] == pytest.approx(0.8)
    assert mill["mean similarity"] == pytest.approx(0.65)
    assert mill["best rank"] == 0
    assert mill["passages"] == 2
    assert mill["in question"] == 1
    school = dict(zip(WORD_FEATURES, x[words.index("school")], strict=True))
    assert school["best rank"] == pytest.approx(2 / 3)
    assert school["in an opening"] == school["in question"] == 0
    year = dict(zip(WORD_FEATURES, x[words.index("1911")], strict=True))
    assert year["number"] == 1
    title = dict(zip(WORD_FEATURES, x[words.index("ostra")], strict=True))
    assert title["in no sentence"] == title["in first title"] == 1


def test_without_passages_only_the_question_has_words():
    words, x = word_features("What is Ostra?", PassageSentences((), (), (), ()), np.zeros(0))
    assert words == ["ostra"]
    assert np.isfinite(x).all()


def test_expected_content_is_the_sum_over_distinct_words():
    expected = {"mill": 0.9, "burned": 0.5, "school": 0.1}
    features = dict(zip(CONTENT_FEATURES, content_features("The mill, the mill burned.", expected), strict=True))
    assert features["expected content"] == pytest.approx(1.4)
    assert features["expected share"] == pytest.approx(1.4 / 1.5)
    assert features["expected content a word"] == pytest.approx(0.7)
    assert features["likely content"] == pytest.approx(1.4)


def test_repetition_covers_no_more_and_unknown_words_little():
    expected = {"mill": 0.9}
    assert content_features("mill " * 9, expected) == content_features("mill", expected)
    assert content_features("mill zebra", expected)[0] == pytest.approx(0.92)
