"""The clipped objectives of PPO over flat response tokens."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PolicyLoss:
    """The loss of some tokens, and how far the policy has moved on them."""

    loss: Tensor
    """Scalar: the sum over tokens, divided by `normaliser`."""
    clip_fraction: float
    """Share of tokens with a ratio outside the clip range; 0 without tokens."""
    approximate_kl: float
    """Mean of (r - 1) - log r, in nats: KL from the policy that sampled."""


def policy_loss(
    logprobs: Tensor, old_logprobs: Tensor, advantages: Tensor, *, clip_range: float, normaliser: int
) -> PolicyLoss:
    """PPO's clipped surrogate (Schulman et al. 2017, equation 7), negated.

    All tensors are float32 [N] over response tokens. `normaliser` is the batch's number of tokens, so that the losses
    of micro-batches add up to the batch's mean.
    """
    log_ratio = logprobs - old_logprobs
    ratio = log_ratio.exp()
    clipped = ratio.clamp(1 - clip_range, 1 + clip_range)
    loss = -torch.minimum(ratio * advantages, clipped * advantages).sum() / normaliser
    with torch.no_grad():
        tokens = max(1, ratio.numel())
        outside = (((ratio - 1).abs() > clip_range).float().sum() / tokens).item()
        approximate_kl = (((ratio - 1) - log_ratio).sum() / tokens).item()
    return PolicyLoss(loss, outside, approximate_kl)


def value_loss(values: Tensor, old_values: Tensor, returns: Tensor, *, clip_range: float, normaliser: int) -> Tensor:
    """Half the larger of the plain and the clipped squared error, summed and divided by `normaliser`.

    Tensors float32 [N]; returns a scalar. `normaliser` is the batch's number of tokens, as in policy_loss.
    """
    clipped = old_values + (values - old_values).clamp(-clip_range, clip_range)
    return 0.5 * (torch.maximum((values - returns) ** 2, (clipped - returns) ** 2).sum() / normaliser)
