import pytest
import torch

from rewards.dataset import Example, Passage
from rewards.scores import ScoreRequest
from trainer.tracking.metrics import copied_metrics, correlation, explained_variance


def test_correlation_and_explained_variance():
    a = torch.tensor([1.0, 2.0, 3.0])
    assert correlation(a, 2 * a) == pytest.approx(1)
    assert correlation(a, torch.ones(3)) == correlation(a[:1], a[:1]) == 0
    assert explained_variance(a, a) == 1
    assert explained_variance(torch.zeros(3), a) == 0
    assert explained_variance(a, torch.ones(3)) == 0


def test_copied_words_are_logged_beside_those_of_the_references():
    passages = (Passage(title="", text="a b c d e f g h i j"),)
    shown = [Example(question="?", passages=passages, answer="a b c, and no more")]
    responses = [ScoreRequest("?", passages, text) for text in ("a b c d e f g h", "b c d e f g h i j x")]
    assert copied_metrics(responses, shown) == {
        "text/copied": pytest.approx((1 + 0.9) / 2), "text/copied_longest": 8.5,
        "text/copied_references": 0, "text/copied_longest_references": 3,
    }  # fmt: skip
