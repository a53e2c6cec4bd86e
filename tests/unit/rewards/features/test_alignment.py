import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.features.alignment import ALIGNMENT_FEATURES, Source, alignment_features, common_subsequence, fragments

SOURCE = Source.of(
    ["Ostra"], ["The mill of Ostra burned in 1911.", "It was built again by Maria Lind.", "The river is the Lind."]
)


def features(text, parts=None):
    values = alignment_features(text, parts or [text], SOURCE, np.array([0.9, 0.5, 0.1]), frozenset({"mill"}))
    return dict(zip(ALIGNMENT_FEATURES, values, strict=True))


def test_a_verbatim_sentence_is_fully_covered_by_one_fragment():
    values = features("The mill of Ostra burned in 1911.")
    assert values["fragment density"] == 7
    assert values["common subsequence"] == values["worst part covered"] == values["words together"] == 1
    assert values["unknown words"] == values["unknown names"] == values["unknown numbers"] == 0


def test_true_pieces_wrongly_joined_stand_apart():
    values = features("The mill of Ostra was built again in 1911.")
    assert values["unknown words"] == values["unknown numbers"] == 0
    assert values["words together"] < 1
    assert values["worst part covered"] < values["two sentences cover"] == 1


def test_words_that_the_passages_lack_are_counted():
    values = features("The mill was sold to Peter Aldo in 1950.")
    assert values["unknown words"] == pytest.approx(np.log1p(4))  # sold, peter, aldo, 1950
    assert values["unknown names"] == pytest.approx(np.log1p(2))
    assert values["unknown numbers"] == pytest.approx(np.log1p(1))


def test_the_worst_part_counts():
    values = features(
        "The mill burned, and elephants visited Belgium.", ["The mill burned,", "and elephants visited Belgium."]
    )
    assert values["worst part covered"] == 0


def test_fragments_are_the_longest_runs_from_the_left():
    assert fragments("the mill of x it was built".split(), SOURCE) == [3, 3]
    assert fragments([], SOURCE) == []


def test_fragments_do_not_run_over_a_sentence_end():
    assert fragments("1911 it was".split(), SOURCE) == [1, 2]


@pytest.mark.parametrize(
    ("a", "b", "length"), [("abcde", "ace", 3), ("abc", "xyz", 0), ("", "abc", 0), ("aab", "ab", 2)]
)
def test_the_longest_common_subsequence(a, b, length):
    assert common_subsequence(list(a), list(b)) == common_subsequence(list(b), list(a)) == length


@given(st.text(max_size=200), st.lists(st.text(max_size=80), max_size=4))
def test_any_text_gives_finite_numbers(text, sentences):
    source = Source.of(["Title"], sentences)
    values = alignment_features(text, [text], source, np.zeros(len(sentences)), frozenset())
    assert len(values) == len(ALIGNMENT_FEATURES)
    assert np.isfinite(values).all()
