"""What the engine returns piece by piece, and the whole answer to a request."""

from dataclasses import dataclass
from typing import NamedTuple

from policies.weights import Weights
from service.domain.policy import ServedPolicy
from service.domain.scored import ScoredCompletion


class LikelyToken(NamedTuple):
    """A token's text and log-probability, in nats, under the distribution before temperature and truncation."""

    text: str
    """The text that it adds: empty for a part of a character, and the character for its last part."""
    logprob: float
    content: bytes | None = None
    """Its bytes, where they are not those of its text."""


@dataclass(frozen=True)
class TokenLogprob:
    """A token of an answer, and what was likely in its place."""

    token: LikelyToken
    alternatives: tuple[LikelyToken, ...] = ()
    """The likeliest tokens at its position."""


@dataclass(frozen=True)
class Piece:
    """The part by which one completion of a request has grown."""

    text: str
    tokens: int
    finish_reason: str | None
    """None until the completion's last piece."""
    index: int = 0
    """Which of the request's completions."""
    logprobs: tuple[TokenLogprob, ...] = ()
    """Those of the new tokens, where the request asks for them."""
    cached_tokens: int = 0
    """Tokens of the prompt that the engine found in its prefix cache."""


@dataclass(frozen=True)
class Completion:
    """One finished completion."""

    index: int
    text: str
    tokens: int
    finish_reason: str
    logprobs: tuple[TokenLogprob, ...] = ()
    """Those of its tokens, where the request asks for them."""
    scored: ScoredCompletion | None = None
    """The scores that it was chosen by; None where there was no choice, or scoring failed."""
    reward: float | None = None
    """The weighted reward by the weights that were asked for; None like `scored`."""


@dataclass(frozen=True)
class BestOf:
    """How an answer's completions were chosen among several samples."""

    samples: int
    mean_reward: float | None
    """The mean over all samples; None when they could not be scored and the completions are the first ones."""


@dataclass(frozen=True)
class Answer:
    """The answer to a request: all of its completions."""

    id: str
    created: int
    """Unix time."""
    policy: ServedPolicy
    weights: Weights
    """The weights that were asked for."""
    completions: tuple[Completion, ...]
    prompt_tokens: int
    completion_tokens: int
    """Tokens of everything that was sampled, including samples that were not chosen."""
    passages_cut: bool
    """Whether passages were cut to the prompt budget."""
    cached_tokens: int = 0
    """Tokens of the prompt that the engine found in its prefix cache."""
    best_of: BestOf | None = None
    """None where every sample is returned."""


def completion_id(answer_id: str, index: int) -> str:
    """The id of a completion at GET /responses/{id}; the first one has the answer's own id."""
    return f"{answer_id}-{index}" if index else answer_id
