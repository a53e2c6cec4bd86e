"""Log-probabilities of chosen tokens, chunk by chunk: apart from the logits, nothing as wide as the vocabulary is kept.

The plain formula makes float32 copies of all logits, scaled and normalised, and keeps one for the backward pass:
several times the memory of the bf16 logits themselves. Here a chunk of rows is normalised at a time, and again in the
backward pass. A chunk fits the cache of a CPU, so this is also faster.
"""

from typing import Any

import torch
from torch import Tensor

_TOKENS = 64
"""Rows that are normalised at a time."""


def chosen_logprobs(
    logits: Tensor, targets: Tensor, temperature: float, *, entropy: bool = False
) -> tuple[Tensor, Tensor]:
    """Log-probabilities of `targets` under softmax(logits / temperature), and the distributions' entropies, in nats.

    `logits`: [N, vocabulary] of any float type; `targets`: int64 [N]. Both results are float32 [N] (float64 for logits
    of float64); the entropies, which have no gradient, are empty unless `entropy`.
    """
    chosen: tuple[Tensor, Tensor] = _ChosenLogProbs.apply(logits, targets, temperature, entropy)
    return chosen


class _ChosenLogProbs(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, temperature: float, entropy: bool) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(logits, targets)
        ctx.temperature = temperature
        chosen, entropy_of = [], []
        for rows, tokens in zip(logits.split(_TOKENS), targets.split(_TOKENS), strict=True):
            distribution = _log_softmax(rows, temperature)
            chosen.append(distribution.gather(-1, tokens[:, None])[:, 0])
            if entropy:
                entropy_of.append(-(distribution.exp().mul_(distribution)).sum(-1))
        logprobs = torch.cat(chosen)
        entropies = torch.cat(entropy_of) if entropy else logprobs.new_empty(0)
        ctx.mark_non_differentiable(entropies)
        return logprobs, entropies

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor, None, None, None]:
        """d log p[target] / d logit = ((1 for the target's logit, else 0) - p) / temperature."""
        logits, targets = ctx.saved_tensors
        result = torch.empty_like(logits)
        parts = zip(
            logits.split(_TOKENS), targets.split(_TOKENS), gradient.split(_TOKENS), result.split(_TOKENS), strict=True
        )
        for rows, tokens, incoming, out in parts:
            scale = incoming[:, None] / ctx.temperature
            slope = _log_softmax(rows, ctx.temperature).exp_().mul_(-scale)
            out.copy_(slope.scatter_add_(-1, tokens[:, None], scale))
        return result, None, None, None


def _log_softmax(logits: Tensor, temperature: float) -> Tensor:
    exact = logits.to(torch.promote_types(logits.dtype, torch.float32), copy=True)
    return exact.div_(temperature).log_softmax(-1)
