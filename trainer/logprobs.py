"""Log-probabilities of chosen tokens, some tokens at a time: nothing as wide as the vocabulary is kept but the logits.

The plain formula makes float32 copies of all logits, scaled and normalised, and keeps one for the backward pass: at
two bytes a logit, several times what the model gave. Here a chunk of rows is normalised at once, and again in the
backward pass; what a chunk needs fits the cache of a CPU, so that this is faster, too.
"""

from typing import Any

import torch
from torch import Tensor

_TOKENS = 64
"""Rows that are normalised at once."""


def chosen_logprobs(
    logits: Tensor, targets: Tensor, temperature: float, *, entropy: bool = False
) -> tuple[Tensor, Tensor]:
    """Log-probabilities of `targets` under softmax(logits / temperature), and the distributions' entropies, in nats.

    `logits`: [N, vocabulary] of any float type; `targets`: int64 [N]. Both results are float32 [N] (float64 for logits
    of float64); the entropies, which have no gradient, are empty unless asked for.
    """
    chosen: tuple[Tensor, Tensor] = _ChosenLogProbs.apply(logits, targets, temperature, entropy)
    return chosen


class _ChosenLogProbs(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, temperature: float, entropy: bool) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(logits, targets)
        ctx.temperature = temperature
        chosen, uncertain = [], []
        for rows, wanted in zip(logits.split(_TOKENS), targets.split(_TOKENS), strict=True):
            distribution = _log_softmax(rows, temperature)
            chosen.append(distribution.gather(-1, wanted[:, None])[:, 0])
            if entropy:
                uncertain.append(-(distribution.exp().mul_(distribution)).sum(-1))
        logprobs = torch.cat(chosen)
        entropies = torch.cat(uncertain) if entropy else logprobs.new_empty(0)
        ctx.mark_non_differentiable(entropies)
        return logprobs, entropies

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor, None, None, None]:
        """The derivative of log p[target] by a logit is (1 if it is the target's, else 0) - p, over the temperature."""
        logits, targets = ctx.saved_tensors
        result = torch.empty_like(logits)
        parts = zip(
            logits.split(_TOKENS), targets.split(_TOKENS), gradient.split(_TOKENS), result.split(_TOKENS), strict=True
        )
        for rows, wanted, incoming, out in parts:
            scale = incoming[:, None] / ctx.temperature
            slope = _log_softmax(rows, ctx.temperature).exp_().mul_(-scale)
            out.copy_(slope.scatter_add_(-1, wanted[:, None], scale))
        return result, None, None, None


def _log_softmax(logits: Tensor, temperature: float) -> Tensor:
    exact = logits.to(torch.promote_types(logits.dtype, torch.float32), copy=True)
    return exact.div_(temperature).log_softmax(-1)
