"""Sampling responses from the policy as it is now: by vLLM where it is installed, by transformers otherwise."""

import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from torch import Tensor

if TYPE_CHECKING:
    from policies.base import BaseModel
    from trainer.trunk import Trunk


@dataclass(frozen=True)
class Sampled:
    """One sampled response."""

    token_ids: list[int]
    """With the end-of-text token, unless the response was cut."""
    logprobs: list[float]
    """The sampler's own log-probability of each token, in nats, at temperature 1."""


class Sampler(Protocol):
    """Samples at temperature 1 from the whole distribution: what the policy gradient assumes."""

    def synchronise(self, weights: Iterator[tuple[str, Tensor]]) -> None:
        """Take over the policy's merged weights (Trunk.merged_weights)."""

    def sample(self, prompts: Sequence[Sequence[int]], n: int, max_new_tokens: int, seed: int) -> list[list[Sampled]]:
        """`n` responses for each prompt. The same weights, prompts and seed give the same responses."""

    def close(self) -> None:
        """Free the engine."""


def make_sampler(kind: Literal["auto", "vllm", "transformers"], base: "BaseModel", trunk: "Trunk", max_tokens: int) -> Sampler:
    """The sampler of that kind; `max_tokens` bounds prompt and response together."""
    if kind == "vllm" or (kind == "auto" and importlib.util.find_spec("vllm") is not None):
        from trainer.rollouts.vllm import VllmSampler

        return VllmSampler(base, max_tokens)
    from trainer.rollouts.transformers import TransformersSampler

    return TransformersSampler(trunk)
