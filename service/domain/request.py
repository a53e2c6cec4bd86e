"""A request in the service's own terms, whichever endpoint it came by: as a task, as prepared, and as an answer."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from policies.prompt import Prompt
from policies.weights import Weights
from rewards.dataset import Passage
from service.admission.places import Place
from service.domain.caller import ANONYMOUS, Caller
from service.domain.scored import Judged, Trial
from service.domain.selection import Selection
from service.engine.engine import TokenLogprob
from service.served.roster import ServedPolicy

if TYPE_CHECKING:
    from vllm import SamplingParams


@dataclass(frozen=True)
class Question:
    """A question and the passages to answer it from: what policies are trained on, and what is scored."""

    text: str
    passages: tuple[Passage, ...] = ()


@dataclass(frozen=True)
class Conversation:
    """Messages of `role` and `content`, formatted by the base model's chat template."""

    messages: tuple[Mapping[str, str], ...]


Content = Question | Conversation | str | tuple[int, ...]
"""What is to be answered; text and token ids are the whole prompt, used as it is."""


@dataclass(frozen=True)
class Sampling:
    """What a request says of sampling; the profile's defaults fill in what it does not say."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    n: int = 1
    """Completions of the prompt."""
    best_of: int | None = None
    """Completions to sample, of which the `n` best by the reward models are the answer; None samples no more."""
    logprobs: int | None = None
    """Alternatives to each token whose log-probabilities are returned; 0 is the token's own alone."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of vLLM's SamplingParams."""


@dataclass(frozen=True)
class Task:
    """A request in the service's own terms."""

    selection: Selection
    content: Content
    sampling: Sampling = Sampling()
    param: str = "question"
    """The request's parameter that holds the content."""
    caller: Caller = ANONYMOUS
    """Who sends it."""


@dataclass(frozen=True)
class Prepared:
    """A request that is known to be answerable, and has a place in the queue or the engine.

    It gives its place up when its stream ends, at the latest when the HTTP request that it belongs to does.
    """

    id: str
    policy: ServedPolicy
    wanted: Weights
    """The weights asked for; those of the policy unless a mixture cannot reach them."""
    prompt: Prompt
    params: "SamplingParams"
    """Of everything that is sampled, also what is not returned."""
    keep: int
    """Completions to return: the best of those sampled, or all."""
    question: str
    """Empty for prompts and conversations."""
    trial: Trial | None
    """Where a canary runs and its version was drawn: which arm this is."""
    began: float
    place: Place
    held: ExitStack
    """What it keeps from going away: its policy."""


@dataclass(frozen=True)
class Choice:
    """One finished completion."""

    index: int
    text: str
    tokens: int
    finish_reason: str
    logprobs: tuple[TokenLogprob, ...] = ()
    """Of its tokens, where the request asks for them."""
    judged: Judged | None = None
    """What it was chosen by; None where nothing was to choose, or scoring failed."""
    reward: float | None = None
    """By the weights that were asked for; None like `judged`."""


@dataclass(frozen=True)
class Choosing:
    """How the choices of an answer were found among several samples."""

    samples: int
    mean_reward: float | None
    """Of all samples; None when they could not be scored and the choices are the first ones."""


@dataclass(frozen=True)
class Answer:
    """A finished request."""

    id: str
    created: int
    """Unix time."""
    policy: ServedPolicy
    wanted: Weights
    choices: tuple[Choice, ...]
    prompt_tokens: int
    completion_tokens: int
    """Tokens written, in all completions, also those that were not chosen."""
    passages_cut: bool
    """Whether passages were cut to the prompt budget."""
    choosing: Choosing | None = None
    """None where every completion is returned."""


def choice_id(answer_id: str, index: int) -> str:
    """What GET /responses/{id} knows a choice by: the first one by the answer's own id."""
    return f"{answer_id}-{index}" if index else answer_id
