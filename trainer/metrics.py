"""A step's metrics, by the names TensorBoard shows. docs/training.md says what to do when one moves."""

import torch
from torch import Tensor

from policies.weights import Weights
from trainer.experience import Batch, Streams


def step_metrics(
    batch: Batch,
    streams: Streams,
    task: Tensor,
    kl: Tensor,
    entropy: Tensor,
    values: Tensor,
    returns: Tensor,
    weights: Weights,
) -> dict[str, float]:
    """Means over the step's responses. `task`, `kl`, `entropy`, `values`, `returns`: float32 [B, T], padding zero."""
    lengths = batch.lengths.float()
    tokens = batch.mask.sum().clamp(min=1)
    per_response = streams.rewards.sum(1)
    metrics = {
        "reward/weighted": task.sum(1).mean().item(),
        "kl/response": kl.sum(1).mean().item(),
        "kl/token": (kl.sum() / tokens).item(),
        "entropy": (entropy.sum() / tokens).item(),
        "length/tokens": lengths.mean().item(),
        "length/words": sum(len(text.split()) for text in streams.texts) / max(1, len(streams.texts)),
        "length/truncated": batch.truncated.float().mean().item(),
        "critic/explained_variance": explained_variance(values[batch.mask], returns[batch.mask]),
    }
    for k, category in enumerate(streams.categories):
        stream = per_response[:, k]
        metrics |= {
            f"{category}/response": stream.mean().item(),
            f"{category}/segment": (stream.sum() / streams.segments[:, k].sum().clamp(min=1)).item(),
            f"{category}/weighted": weights[category] * stream.mean().item(),
            f"{category}/length_correlation": correlation(stream, lengths),
        }
    return metrics


def explained_variance(predicted: Tensor, target: Tensor) -> float:
    """1 - Var(target - predicted) / Var(target); 0 when the target does not vary."""
    if target.numel() < 2 or (variance := target.var(unbiased=False)) <= 1e-12:
        return 0.0
    return (1 - (target - predicted).var(unbiased=False) / variance).item()


def correlation(a: Tensor, b: Tensor) -> float:
    """Pearson's correlation of two float32 [B]; 0 when one does not vary."""
    if a.numel() < 2 or a.std() <= 1e-8 or b.std() <= 1e-8:
        return 0.0
    return torch.corrcoef(torch.stack([a, b]))[0, 1].item()
