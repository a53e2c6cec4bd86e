"""The interface of a sampler, and the responses it returns."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from trainer.policy_model import PolicyModel


@dataclass(frozen=True)
class Sampled:
    """One sampled response."""

    token_ids: list[int]
    """Includes the end-of-text token, unless the response was cut."""
    logprobs: list[float]
    """The sampler's log-probability of each token, in nats, at the sampling temperature; empty for temperature 0."""


class Sampler(Protocol):
    """Samples from the full softmax(logits / model.temperature), as the policy gradient assumes."""

    def synchronise(self, model: "PolicyModel", step: int = 0) -> None:
        """Load the current policy of `model`, any model of the same architecture: its merged weights, or its adapter.

        `step` is part of the adapter's name where the adapter is written to a file.
        """

    def logprobs(self, tokens: Sequence[int]) -> list[float]:
        """Log-probability of each token but the first, given those before it; shows whether weights have changed."""

    def sample(
        self,
        prompts: Sequence[Sequence[int]],
        n: int,
        max_new_tokens: int,
        seed: int,
        *,
        top_p: float = 1.0,
        temperature: float | None = None,
        places: Sequence[int] | None = None,
    ) -> list[list[Sampled]]:
        """`n` responses for each prompt. The same weights, prompts, seed and places give the same responses.

        `top_p` below 1 cuts the distribution, as in service. `temperature` replaces the model's; 0 takes the most
        likely token every time, for one response a prompt, without generators or log-probabilities, so that it costs
        what the engine needs for decoding. Rollouts for training set neither.
        `places` are the prompts' places in the whole step when these are only some of its prompts, so that samples do
        not depend on how a step is divided; by default 0, 1, and so on.
        """

    def close(self) -> None:
        """Free the engine."""
