"""Requests of POST /v1/chat/completions, and its responses."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from service.api.common.limits import MESSAGES, PARTS, at_most
from service.api.common.wire import Text, one_message
from service.api.openai.common.protocol import CompletionsRequest, CompletionsResponse, OpenAIChoice, OpenAIWire
from service.api.openai.common.turns import turn_of
from service.domain.request import Sampling, Turn
from service.errors import InvalidField


class TextPart(BaseModel):
    """A part of a message."""

    model_config = ConfigDict(extra="ignore", strict=True)

    type: Literal["text"]
    text: Text


class ChatMessage(BaseModel):
    """A turn of a conversation."""

    model_config = ConfigDict(extra="ignore", strict=True)

    role: Annotated[
        Literal["system", "developer", "user", "assistant"],
        one_message("role is system, developer, user or assistant; policies call no tools."),
    ]
    content: Annotated[
        Text | Annotated[list[TextPart], Field(fail_fast=True)] | None,
        one_message("content is a text or a list of parts of type text; policies read nothing else."),
        at_most(PARTS, "parts"),
    ] = None
    """An assistant's turn may have none, which is the empty text."""

    @model_validator(mode="after")
    def _written(self) -> "ChatMessage":
        if self.content is None and self.role != "assistant":
            raise ValueError(f"A message of the {self.role} has no content; give it a text.")
        return self

    def as_turn(self) -> Turn:
        """For the chat template."""
        return turn_of(self.role, self.content)


class ChatRequest(CompletionsRequest):
    """What POST /v1/chat/completions takes."""

    messages: Annotated[list[ChatMessage], Field(fail_fast=True), at_most(MESSAGES, "messages")] = Field(min_length=1)
    """The conversation; with `passages`, the last message is the question, after as many exchanges as fit."""
    max_completion_tokens: int | None = Field(None, ge=1)
    """The newer name of `max_tokens`; counts where both are given."""
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)

    @model_validator(mode="after")
    def _whole(self) -> "ChatRequest":
        if self.top_logprobs and not self.logprobs:
            raise InvalidField("top_logprobs", "top_logprobs go with logprobs; set logprobs to true.")
        if self.passages and self.messages[-1].role != "user":
            message = "With passages, the last message is the question; end with a message of the user."
            raise InvalidField("messages", message)
        return self

    def as_sampling(self) -> Sampling:
        """In the service's own terms."""
        longest = self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens
        return self.sampling(longest, (self.top_logprobs or 0) if self.logprobs else None)


class TopLogprob(OpenAIWire):
    """A likely token."""

    token: str
    logprob: float
    bytes: list[int]


class ChatLogprob(TopLogprob):
    """A token of the answer."""

    top_logprobs: list[TopLogprob]


class ChatLogprobs(OpenAIWire):
    """Log-probabilities of an answer's tokens, in nats, before temperature and truncation."""

    content: list[ChatLogprob]
    refusal: None = None


class AssistantMessage(OpenAIWire):
    """What the policy says."""

    role: Literal["assistant"]
    content: str
    refusal: None = None


class ChatChoice(OpenAIChoice):
    """An answer."""

    message: AssistantMessage
    logprobs: ChatLogprobs | None


class ChatResponse(CompletionsResponse):
    """What POST /v1/chat/completions answers."""

    object: Literal["chat.completion"]
    choices: list[ChatChoice]
    messages_left_out: int = Field(0, ge=0)
    """With `passages`, messages that were not read: the system's, and the oldest that do not fit. Not OpenAI's."""
