"""A step's metrics, by their names in TensorBoard. docs/training.md says what to do when one goes wrong."""

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor

from policies.weights import Weights
from rewards.dataset import Example
from rewards.features.words import mean_words
from rewards.scores import ScoreRequest
from rewards.traits.copied import mean_copied
from rewards.traits.response_traits import repetition
from trainer.experience import Batch, Evaluated, Streams
from trainer.kl import kl_estimates


def step_metrics(
    batch: Batch, streams: Streams, task: Tensor, evaluated: Evaluated, weights: Weights
) -> dict[str, float]:
    """The metrics of a step. `task`: float32 [B, T], the weighted rewards less the missing-end penalty."""
    lengths = batch.lengths.float()
    tokens = batch.mask.sum().clamp(min=1)
    earned, per_response = task.sum(1), streams.rewards.sum(1)
    kl, kl_k3 = kl_estimates(evaluated.policy, evaluated.reference)
    metrics = {
        "reward/weighted": earned.mean().item(),
        "reward/spread": spread(earned),
        "reward/within_prompt": within_prompt(earned, batch.prompts),
        "kl/response": (kl * batch.mask).sum(1).mean().item(),
        "kl/token": ((kl * batch.mask).sum() / tokens).item(),
        "kl/token_k3": ((kl_k3 * batch.mask).sum() / tokens).item(),
        "entropy": (evaluated.entropy.sum() / tokens).item(),
        "length/tokens": lengths.mean().item(),
        "length/words": mean_words(streams.texts),
        "length/truncated": batch.truncated.float().mean().item(),
        "text/repetition": sum(map(repetition, streams.texts)) / max(1, len(streams.texts)),
    }
    for k, category in enumerate(streams.categories):
        stream, count = per_response[:, k], streams.segments[:, k].sum().clamp(min=1)
        metrics |= {
            f"{category}/error_probability": (streams.errors[:, k].sum() / count).item(),
            f"{category}/segment": (stream.sum() / count).item(),
            f"{category}/response": stream.mean().item(),
            f"{category}/weighted": weights[category] * stream.mean().item(),
            f"{category}/weighted_segment": weights[category] * (stream.sum() / count).item(),
            f"{category}/length_correlation": correlation(stream, lengths),
        }
    for (j, first), (k, second) in combinations(enumerate(streams.categories), 2):
        metrics[f"agreement/{first}-{second}"] = correlation(per_response[:, j], per_response[:, k])
    return metrics


def copied_metrics(responses: Sequence[ScoreRequest], shown: Sequence[Example]) -> dict[str, float]:
    """What responses copy from the passages (rewards.traits.copied), beside the step's reference answers.

    `shown` are the step's questions with the passages as the policy was shown them.
    """
    answers = mean_copied(responses)
    references = mean_copied(ScoreRequest(e.question, e.passages, e.answer) for e in shown)
    return {
        "text/copied": answers["share"],
        "text/copied_longest": answers["longest"],
        "text/copied_references": references["share"],
        "text/copied_longest_references": references["longest"],
    }


def spread(values: Tensor) -> float:
    """Standard deviation of float32 [B]; 0 for fewer than two."""
    return values.std(unbiased=False).item() if values.numel() > 1 else 0.0


def within_prompt(values: Tensor, prompts: Tensor) -> float:
    """Mean over the prompts of the standard deviation of their samples' values; float32 [B] and int64 [B]."""
    spreads = [spread(values[prompts == prompt]) for prompt in prompts.unique()]
    return sum(spreads) / max(1, len(spreads))


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
