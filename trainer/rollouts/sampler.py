"""What a sampler gives, and what every sampler can do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from trainer.policy_model import PolicyModel


@dataclass(frozen=True)
class Sampled:
    """One sampled response."""

    token_ids: list[int]
    """With the end-of-text token, unless the response was cut."""
    logprobs: list[float]
    """The sampler's own log-probability of each token, in nats, at the temperature it samples at; at 0, those of 1."""


class Sampler(Protocol):
    """Samples from softmax(logits / model.temperature), the whole of it: what the policy gradient assumes."""

    def synchronise(self, model: "PolicyModel", step: int = 0) -> None:
        """Take over the policy as the model, any of the same base, has it now: merged weights, or the adapter.

        `step` names what is taken over where that is kept in a file.
        """

    def logprobs(self, tokens: Sequence[int]) -> list[float]:
        """Log-probability of each token but the first, given those before it; for telling weights apart."""

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

        `top_p` below 1 cuts the distribution, as serving does; `temperature` replaces the model's, and at 0 the most
        likely token is taken every time, which goes with one response a prompt. Rollouts that train leave both alone.
        `places` are the prompts' in the whole step when these are some of it, so that whoever samples them, in
        whatever parts, gets the same; else they are 0, 1, and so on.
        """

    def close(self) -> None:
        """Free the engine."""
