"""Log-probabilities by chunks against the plain formula."""

import pytest
import torch

from trainer import logprobs
from trainer.logprobs import chosen_logprobs


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(logprobs, "_TOKENS", 3)


def plain(logits, targets, temperature):
    distribution = (logits.float() / temperature).log_softmax(-1)
    entropy = -(distribution.exp() * distribution).sum(-1)
    return distribution.gather(-1, targets[:, None])[:, 0], entropy


@pytest.mark.parametrize("tokens", [1, 3, 8])
def test_they_are_those_of_the_plain_formula_bit_for_bit(tokens):
    torch.manual_seed(0)
    logits = (4 * torch.randn(tokens, 11)).bfloat16()
    targets = torch.randint(11, (tokens,))
    computed = chosen_logprobs(logits, targets, 0.7, entropy=True)
    for ours, expected in zip(computed, plain(logits, targets, 0.7), strict=True):
        assert torch.equal(ours, expected)
    assert chosen_logprobs(logits, targets, 0.7)[1].numel() == 0


def test_by_hand():
    logits = torch.tensor([[0.0, 1.0]])  # over a temperature of 1/2: 0 and 2
    logprob, entropy = chosen_logprobs(logits, torch.tensor([1]), 0.5, entropy=True)
    p = torch.tensor(2.0).sigmoid()
    assert logprob.item() == pytest.approx(p.log().item())
    assert entropy.item() == pytest.approx(-(p * p.log() + (1 - p) * (1 - p).log()).item())


def test_gradients_are_those_of_finite_differences():
    torch.manual_seed(0)
    logits = torch.randn(7, 5, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(5, (7,))
    assert torch.autograd.gradcheck(lambda x: chosen_logprobs(x, targets, 0.7)[0], logits)


def test_gradients_in_bfloat16_are_those_of_the_plain_formula():
    torch.manual_seed(0)
    logits = (4 * torch.randn(8, 11)).bfloat16().requires_grad_()
    targets, weights = torch.randint(11, (8,)), torch.randn(8)
    (chosen_logprobs(logits, targets, 0.7, entropy=True)[0] * weights).sum().backward()
    gradient, logits.grad = logits.grad, None
    (plain(logits, targets, 0.7)[0] * weights).sum().backward()
    torch.testing.assert_close(gradient, logits.grad)


def test_nothing_chosen_is_nothing():
    logprob, entropy = chosen_logprobs(torch.empty(0, 5), torch.empty(0, dtype=torch.int64), 0.7, entropy=True)
    assert logprob.shape == entropy.shape == (0,)


def test_only_the_logits_and_targets_wait_for_the_backward_pass():
    kept = []
    logits = torch.randn(8, 11).bfloat16().requires_grad_()
    targets = torch.randint(11, (8,))
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        chosen_logprobs(logits, targets, 0.7)
    assert [tuple(t.shape) for t in kept] == [(8, 11), (8,)]
    assert kept[0].dtype == torch.bfloat16
