"""Responses of OpenAI's interface. What is no part of it says so."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.api.generate.protocol import BestOf, PolicyName


class _Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Model(_Wire):
    """A profile as a model."""

    id: str
    object: Literal["model"] = "model"
    created: int
    """Unix time at which the policy was stored."""
    owned_by: str = "fgctl"
    root: str
    """The profile at its present version, a model name of its own. Not OpenAI's, like the two below."""
    weights: dict[str, float]
    max_model_len: int
    """Tokens of prompt and answer."""


class ModelList(_Wire):
    """Every profile that is served."""

    object: Literal["list"] = "list"
    data: list[Model]


class _Choice(_Wire):
    index: int
    finish_reason: str
    response_id: str
    """What GET /responses/{id} knows this answer by. Not OpenAI's, like the four below, which come with `best_of`."""
    best_of: BestOf | None = None
    scores: dict[str, Any] | None = None
    in_domain: bool | None = None
    notes: list[str] | None = None


class CompletionLogprobs(_Wire):
    """Log-probabilities of an answer's tokens, in nats, before temperature and truncation."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]
    """Where in the answer each token begins."""


class CompletionChoice(_Choice):
    """An answer."""

    text: str
    logprobs: CompletionLogprobs | None


class TopLogprob(_Wire):
    """A likely token."""

    token: str
    logprob: float
    bytes: list[int]


class ChatLogprob(TopLogprob):
    """A token of the answer."""

    top_logprobs: list[TopLogprob]


class ChatLogprobs(_Wire):
    """Log-probabilities of an answer's tokens, in nats, before temperature and truncation."""

    content: list[ChatLogprob]
    refusal: None = None


class AssistantMessage(_Wire):
    """What the policy says."""

    role: Literal["assistant"]
    content: str
    refusal: None = None


class ChatChoice(_Choice):
    """An answer."""

    message: AssistantMessage
    logprobs: ChatLogprobs | None


class TotalUsage(_Wire):
    """Tokens of all prompts and all answers."""

    prompt_tokens: int
    completion_tokens: int
    """Of everything that was sampled, also what was not chosen."""
    total_tokens: int
    samples: int | None = None
    """Only with `best_of`. Not OpenAI's."""


class _Response(_Wire):
    id: str
    """Also of the first answer at GET /responses/{id}."""
    created: int
    model: str
    """As asked for."""
    system_fingerprint: str
    """The policy and its version: another one answers the same seed differently."""
    usage: TotalUsage
    policy: PolicyName
    """Not OpenAI's, like the three below."""
    weights: dict[str, float]
    weights_served: dict[str, float]
    passages_cut: bool


class CompletionResponse(_Response):
    """What POST /v1/completions answers."""

    object: Literal["text_completion"]
    choices: list[CompletionChoice]


class ChatResponse(_Response):
    """What POST /v1/chat/completions answers."""

    object: Literal["chat.completion"]
    choices: list[ChatChoice]
    messages_left_out: int = Field(0, ge=0)
    """Messages that were not read because `passages` make the last one the question. Not OpenAI's."""
