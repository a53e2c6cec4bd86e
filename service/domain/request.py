"""What a client asks for, whichever endpoint the request came by."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rewards.dataset import Passage
from service.domain.caller import ANONYMOUS, Caller
from service.domain.selection import Selection

Turn = Mapping[str, str]
"""A message: its `role` and its `content`."""


@dataclass(frozen=True)
class Question:
    """A question and the passages to answer it from: the form that policies are trained on, and that is scored."""

    text: str
    passages: tuple[Passage, ...] = ()
    earlier: tuple[Turn, ...] = ()
    """Exchanges before it, a user's turn and then the assistant's; the latest that fit are part of the prompt."""


@dataclass(frozen=True)
class Conversation:
    """Messages of `role` and `content`, formatted by the base model's chat template."""

    messages: tuple[Turn, ...]
    cut: bool = False
    """Whether the oldest messages may be left out where the conversation does not fit the prompt budget."""


Content = Question | Conversation | str | tuple[int, ...]
"""What is to be answered; text and token ids are the whole prompt, used as it is."""


@dataclass(frozen=True)
class Sampling:
    """The request's sampling parameters; the profile's defaults fill in those that are None."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    n: int = 1
    """Completions to return."""
    best_of: int | None = None
    """Completions to sample, of which the best `n` by the reward models are returned; None samples `n`."""
    logprobs: int | None = None
    """Alternatives to each token whose log-probabilities are returned; 0 returns the token's own alone."""
    structure: Mapping[str, Any] | None = None
    """The form that an answer must have, as a field of vLLM's StructuredOutputsParams; None for any text."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of vLLM's SamplingParams."""


@dataclass(frozen=True)
class AnswerRequest:
    """A request in the service's own terms."""

    selection: Selection
    content: Content
    sampling: Sampling = Sampling()
    param: str = "question"
    """The parameter of the HTTP request that holds the content."""
    caller: Caller = ANONYMOUS
    turns: tuple[Turn, ...] | None = None
    """The conversation that the answer belongs to, kept with it so that a later request can go on; None keeps none."""
