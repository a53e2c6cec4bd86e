"""The arithmetic of advantages, masked: nothing leaks from or into padding."""

import torch
from torch import Tensor


def gae(rewards: Tensor, values: Tensor, mask: Tensor, *, gamma: float, lam: float) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimation (Schulman et al. 2016, equation 16).

    `rewards`, `values`: float32 [B, T]; `mask`: bool [B, T], True on response tokens, which come first in a row.
    Returns advantages and returns (advantages + values), float32 [B, T], zero outside the mask. The value after
    the last token is zero: a response ends the episode.
    """
    valid = mask.to(rewards.dtype)
    rewards, values = rewards * valid, values * valid
    advantages = torch.zeros_like(rewards)
    running = torch.zeros_like(rewards[:, 0])
    following = torch.zeros_like(running)
    for t in range(rewards.shape[1] - 1, -1, -1):
        delta = rewards[:, t] + gamma * following - values[:, t]
        running = (delta + gamma * lam * running) * valid[:, t]
        advantages[:, t] = running
        following = values[:, t]
    return advantages, (advantages + values) * valid


def returns_to_go(rewards: Tensor, mask: Tensor, *, gamma: float) -> Tensor:
    """The discounted sum of a token's reward and the later ones: float32 [B, T], zero outside the mask."""
    nothing = torch.zeros_like(rewards)
    return gae(rewards, nothing, mask, gamma=gamma, lam=1.0)[0]


def leave_one_out(values: Tensor, mask: Tensor, groups: Tensor) -> Tensor:
    """Subtract from each token's value the mean value, at the same token, of the prompt's other responses.

    `values`: float32 [B, T]; `mask`: bool [B, T]; `groups`: int64 [B], the prompt of each response. A response that
    has ended counts as zero, as it earns nothing more. A prompt's only response keeps its values. Zero outside the
    mask. RLOO's baseline (Ahmadian et al. 2024, section 3.3), token by token.
    """
    valid = mask.to(values.dtype)
    values = values * valid
    prompts = int(groups.max()) + 1 if len(groups) else 0
    sums = torch.zeros(prompts, values.shape[1]).index_add(0, groups, values)
    others = torch.bincount(groups, minlength=prompts)[groups] - 1
    baseline = (sums[groups] - values) / others.clamp(min=1)[:, None]
    return (values - baseline) * valid


def centre(advantages: Tensor, mask: Tensor, groups: Tensor) -> Tensor:
    """Subtract from each response's tokens the mean advantage of all tokens sampled for the same prompt.

    `advantages`: float32 [B, T]; `mask`: bool [B, T]; `groups`: int64 [B], the prompt of each response. The mean
    over a prompt's responses is a baseline for how hard the prompt is, as in RLOO (Ahmadian et al. 2024); in a short
    run the critic learns that too slowly. Zero outside the mask.
    """
    valid = mask.to(advantages.dtype)
    sums = torch.zeros(int(groups.max()) + 1 if len(groups) else 0)
    totals = sums.index_add(0, groups, (advantages * valid).sum(1))
    tokens = sums.index_add(0, groups, valid.sum(1))
    means = totals / tokens.clamp(min=1)
    return (advantages - means[groups, None]) * valid


def whiten(x: Tensor, mask: Tensor, eps: float = 1e-8) -> Tensor:
    """Shift and scale the masked entries to mean 0 and (biased) variance 1; zero elsewhere.

    A constant input, or a single entry, becomes all zeros. Same shape as `x`.
    """
    selected = x[mask]
    if selected.numel() == 0:
        return torch.zeros_like(x)
    centred = torch.where(mask, x - selected.mean(), 0.0)
    variance = selected.var(unbiased=False)
    return centred * torch.rsqrt(variance + eps) if variance > eps else torch.zeros_like(x)
