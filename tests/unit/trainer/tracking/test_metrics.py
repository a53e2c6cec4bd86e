import pytest
import torch

from trainer.tracking.metrics import correlation, explained_variance


def test_correlation_and_explained_variance():
    a = torch.tensor([1.0, 2.0, 3.0])
    assert correlation(a, 2 * a) == pytest.approx(1)
    assert correlation(a, torch.ones(3)) == correlation(a[:1], a[:1]) == 0
    assert explained_variance(a, a) == 1
    assert explained_variance(torch.zeros(3), a) == 0
    assert explained_variance(a, torch.ones(3)) == 0
