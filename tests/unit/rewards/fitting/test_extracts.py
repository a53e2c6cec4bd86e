import numpy as np
import pytest

from rewards.dataset import Passage
from rewards.fitting.extracts import FIRST, LEAD, NEAREST, RANDOM, make_extracts
from rewards.scores import ScoreRequest

SENTENCES = [f"Number {word} is here." for word in ("one", "two", "three", "four", "five", "six", "seven", "eight")]


class Nearness:
    """An encoder for which sentences are the nearer to the question, the later they stand."""

    def encode(self, texts):
        return np.array([[1.0 if t == "Which?" else 0.1 * SENTENCES.index(t)] for t in texts], dtype=np.float32)


@pytest.fixture
def request_of():
    passages = (Passage(title="A", text=" ".join(SENTENCES[:4])), Passage(title="B", text=" ".join(SENTENCES[4:])))
    return ScoreRequest("Which?", passages, "ignored")


def test_extracts_are_copied_sentences_in_the_order_of_the_passages(request_of):
    (made,) = make_extracts([request_of], Nearness())
    assert made[FIRST] == " ".join(SENTENCES[:3])
    assert made[LEAD] == " ".join(SENTENCES[:4])
    assert made[NEAREST] == " ".join(SENTENCES[5:])
    drawn = [s for s in SENTENCES if s in made[RANDOM]]
    assert made[RANDOM] == " ".join(drawn)
    assert len(drawn) == 3


def test_random_sentences_depend_on_the_question_alone(request_of):
    assert make_extracts([request_of], Nearness()) == make_extracts([request_of, request_of], Nearness())[1:]


def test_without_passages_there_is_no_extract():
    assert make_extracts([ScoreRequest("Which?", (), "")], Nearness()) == [{}]
