"""When a run has diverged or computes what is not a number, and early warnings before it does."""

from collections.abc import Mapping, Sequence
from statistics import fmean

import torch
from torch import Tensor

from rewards.errors import FgctlError
from trainer.recipe import StopRecipe

_WINDOW = 5
"""Steps that are averaged at the beginning and at the end of the log; single steps are too noisy."""
_LENGTH = 1.35
"""Growth of the length, or shrinking by its inverse, that is worth a warning."""
_FOLLOWS = 0.5
"""Correlation with length from which a stream may be what drives the length."""
_DISAGREE = -0.5
_REPETITION = 0.1
_TRUNCATED = 0.5
_FLAT = 0.1
"""Standard deviation of the rewards of a prompt's samples below which there is little to learn from."""

Metrics = Mapping[str, float]


def diverged(history: Sequence[Metrics], stop: StopRecipe) -> str | None:
    """Why a run must stop after its last step, as a clause; None if it need not."""
    last = history[-1]
    if last["kl/response"] > stop.kl:
        return f"the policy is {last['kl/response']:.0f} nats a response from its parent, above ppo.stop.kl"
    if last["entropy"] < stop.entropy:
        return f"the policy's entropy is {last['entropy']:.3f} nats a token, below ppo.stop.entropy"
    recent = [metrics.get("policy/skipped", 0.0) for metrics in history[-stop.skipped :]]
    if len(recent) == stop.skipped and all(skipped == 1 for skipped in recent):
        return f"the gradients of {stop.skipped} steps in a row were not finite"
    return None


def require_finite(name: str, values: Tensor) -> None:
    """Raises FgctlError, which ends the run before it learns from them, when some of the values are not finite."""
    if not torch.isfinite(values).all():
        raise FgctlError(
            f"{name} not finite, so the run stops and stores no policy; check that base, parent and rewards have "
            f"finite values, or lower the learning rate."
        )


def early_warnings(history: Sequence[Metrics]) -> dict[str, str]:
    """Warnings of the known ways to fail, as clauses by name: drift, streams that disagree or do not vary, loops.

    `history` holds the metrics of every step so far; too short a history gives no warnings.
    """
    if len(history) < 2 * _WINDOW:
        return {}
    first, last = _mean(history[:_WINDOW]), _mean(history[-_WINDOW:])
    return _length(first, last) | _rewards(first, last) | _text(first, last)


def _mean(steps: Sequence[Metrics]) -> dict[str, float]:
    return {name: fmean(metrics.get(name, 0.0) for metrics in steps) for name in steps[-1]}


def _length(first: Metrics, last: Metrics) -> dict[str, str]:
    growth = last["length/tokens"] / max(first["length/tokens"], 1.0)
    if 1 / _LENGTH < growth < _LENGTH:
        return {}
    suffix = "/length_correlation"
    moving = [
        name.removesuffix(suffix)
        for name in last
        if name.endswith(suffix) and (last[name] > _FOLLOWS if growth > 1 else last[name] < -_FOLLOWS)
    ]
    because = (
        f", and {' and '.join(moving)} follows it: read samples.jsonl before trusting that reward" if moving else ""
    )
    return {"length": f"length went from {first['length/tokens']:.0f} to {last['length/tokens']:.0f} tokens{because}"}


def _rewards(first: Metrics, last: Metrics) -> dict[str, str]:
    warnings = {}
    if last["reward/within_prompt"] < _FLAT:
        warnings["flat"] = (
            "a prompt's samples earn nearly the same, so there is little to learn from: raise ppo.temperature or "
            "ppo.samples_per_prompt"
        )
    if last["reward/spread"] > 2 * first["reward/spread"] > 0:
        warnings["spread"] = "rewards vary more than twice as much as at the beginning: lower ppo.learning_rate"
    for name in last:
        if name.startswith("agreement/") and last[name] < _DISAGREE:
            pair = name.removeprefix("agreement/").replace("-", " and ")
            warnings[name] = f"{pair} disagree (correlation {last[name]:.2f}): what earns one costs the other"
    return warnings


def _text(first: Metrics, last: Metrics) -> dict[str, str]:
    warnings = {}
    if last["text/repetition"] > max(_REPETITION, 1.5 * first["text/repetition"]):
        warnings["repetition"] = f"repetition rose to {last['text/repetition']:.2f}: a loop may pay; read samples.jsonl"
    if last["length/truncated"] > max(_TRUNCATED, first["length/truncated"]):
        warnings["truncated"] = (
            f"{last['length/truncated']:.0%} of the responses are cut: raise ppo.max_new_tokens or "
            "ppo.missing_end_penalty"
        )
    return warnings
