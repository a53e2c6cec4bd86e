import math

import pytest
import torch

from trainer.losses import policy_loss, value_loss


def test_before_an_update_the_ratio_is_one_and_the_loss_the_negated_mean_advantage():
    logprobs = torch.tensor([-1.0, -2.0, -0.5])
    result = policy_loss(logprobs, logprobs.clone(), torch.tensor([1.0, -2.0, 4.0]), clip_range=0.2, normaliser=3)
    assert result.loss.item() == pytest.approx(-1.0)
    assert result.clip_fraction == 0
    assert result.approximate_kl == 0


def test_the_clip_bounds_gains_but_not_losses():
    old = torch.zeros(4)
    new = torch.log(torch.tensor([1.5, 0.5, 1.5, 0.5]))
    advantages = torch.tensor([1.0, 1.0, -1.0, -1.0])
    result = policy_loss(new, old, advantages, clip_range=0.2, normaliser=4)
    # min(r A, clip(r) A): 1.2, 0.5, -1.5, -0.8
    assert result.loss.item() == pytest.approx(-(1.2 + 0.5 - 1.5 - 0.8) / 4)
    assert result.clip_fraction == 1
    kl = (0.5 - math.log(1.5)) + (-0.5 - math.log(0.5))
    assert result.approximate_kl == pytest.approx(2 * kl / 4)


def test_clipped_tokens_have_no_gradient_in_the_direction_they_went():
    new = torch.log(torch.tensor([1.5, 0.5])).requires_grad_()
    policy_loss(new, torch.zeros(2), torch.tensor([1.0, -1.0]), clip_range=0.2, normaliser=2).loss.backward()
    assert new.grad.tolist() == [0.0, 0.0]


def test_micro_batches_add_up_to_the_whole():
    torch.manual_seed(0)
    new, old, advantages = torch.randn(7), torch.randn(7), torch.randn(7)
    whole = policy_loss(new, old, advantages, clip_range=0.2, normaliser=7).loss
    parts = [
        policy_loss(new[part], old[part], advantages[part], clip_range=0.2, normaliser=7).loss
        for part in (slice(0, 3), slice(3, 7))
    ]
    assert sum(parts).item() == pytest.approx(whole.item(), abs=1e-6)


def test_the_value_loss_takes_the_larger_of_both_errors():
    values, old, returns = torch.tensor([1.0, 0.1]), torch.tensor([0.0, 0.0]), torch.tensor([1.0, 1.0])
    # clipped predictions 0.2 and 0.1: errors max(0, .64) and max(.81, .81)
    assert value_loss(values, old, returns, clip_range=0.2, normaliser=2).item() == pytest.approx(
        0.5 * (0.64 + 0.81) / 2
    )
