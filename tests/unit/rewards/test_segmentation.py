from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from rewards.segmentation import segments

TEXTS = st.text(st.sampled_from("ab cD,;!?.\n\té😀"), max_size=200) | st.text(max_size=80)


def words(text, density):
    return [text[start:end] for start, end in segments(text, density)]


def test_a_sentence_splits_after_punctuation_when_five_words_follow():
    assert words("It opened in the spring of 1897, and it carried slate from the quarries.", "sub-sentence") == [
        "It opened in the spring of 1897,",
        "and it carried slate from the quarries.",
    ]


def test_fewer_than_five_words_do_not_make_a_piece():
    assert words("It opened in the spring of 1897, and carried slate.", "sub-sentence") == [
        "It opened in the spring of 1897, and carried slate."
    ]


def test_a_short_first_piece_joins_the_next_one():
    assert words("In 1897, the line opened to carry slate.", "sub-sentence") == [
        "In 1897, the line opened to carry slate."
    ]


def test_sentences_and_whole():
    text = "  It opened in 1897. It carried slate.  "
    assert words(text, "sentence") == ["It opened in 1897.", "It carried slate."]
    assert words(text, "response") == ["It opened in 1897. It carried slate."]


def test_offsets_are_code_points():
    text = "Café 😀 opened in 1911. It is small."
    assert words(text, "sentence") == ["Café 😀 opened in 1911.", "It is small."]


def test_nothing_visible_has_no_segments():
    for text in ("", "   ", "\n\n"):
        assert segments(text, "sentence") == segments(text, "sub-sentence") == segments(text, "response") == []


@given(TEXTS)
def test_segments_are_ordered_disjoint_trimmed_and_lose_nothing_visible(text):
    for density in ("sub-sentence", "sentence", "response"):
        spans = segments(text, density)
        assert all(a < b for a, b in spans)
        assert all(left[1] <= right[0] for left, right in pairwise(spans))
        assert all(text[a:b] == text[a:b].strip() for a, b in spans)
        covered = "".join("".join(text[a:b].split()) for a, b in spans)
        assert covered == "".join(text.split())


@given(TEXTS)
def test_every_sub_sentence_lies_in_one_sentence(text):
    sentences = segments(text, "sentence")
    for start, end in segments(text, "sub-sentence"):
        assert any(a <= start and end <= b for a, b in sentences)
