import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.dataset import Passage
from rewards.scores import ScoreRequest
from rewards.statistics.distribution_shift import INPUTS
from rewards.traits.response_traits import repetition, response_traits


def passage(words):
    return Passage(title="Ostra", text="word " * words)


def test_traits_of_an_answer():
    request = ScoreRequest(
        "Where does the river Lind rise, and where does it end?",
        (passage(100), passage(320)),
        "The passages do not say.",
    )
    traits = response_traits(request)
    assert (traits.words, traits.repetition, traits.declined) == (5, 0, True)
    assert (traits.copied.share, traits.copied.longest) == (0, 0)
    assert traits.inputs == {"question_words": "10", "passages": "2", "passage_words": "400", "language": "en"}


@given(st.text(), st.lists(st.text(), max_size=8), st.text())
def test_every_input_of_any_request_has_one_of_its_bins(question, passages, response):
    request = ScoreRequest(question, tuple(Passage(title="", text=text) for text in passages), response)
    traits = response_traits(request)
    assert traits.inputs.keys() == INPUTS.keys()
    assert all(traits.inputs[name] in bins for name, bins in INPUTS.items())
    assert traits.words == len(response.split())


def test_repetition():
    assert repetition("one two three four five") == 0
    assert repetition("a b c d a b c d") == pytest.approx(1 / 5)
    assert repetition("A b c d a B c d") == pytest.approx(1 / 5)
    assert repetition("") == repetition("one two three") == 0


@given(st.text(), st.integers(2, 6))
def test_saying_the_same_again_is_repetition(text, times):
    assert 0 <= repetition(text) < 1
    if len(text.split()) >= 4:
        assert repetition(" ".join([text] * times)) > repetition(text)
