"""Wire types of POST /generate."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, model_validator

from service.api.common.limits import MESSAGES, NAME, WEIGHTS, at_most
from service.api.common.wire import (
    BestOf,
    Passages,
    PolicyName,
    Seed,
    Stops,
    Text,
    Wire,
    listed_stops,
    one_message,
)
from service.errors import InvalidField


class Message(Wire):
    """A turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: Text | None = None
    """An assistant's turn may have none, which is the empty text."""

    @model_validator(mode="after")
    def _written(self) -> "Message":
        if self.content is None and self.role != "assistant":
            raise ValueError(f"A message of the {self.role} has no content; give it a text.")
        return self

    def as_turn(self) -> dict[str, str]:
        """For the chat template."""
        return {"role": self.role, "content": self.content or ""}


class GenerateRequest(Wire):
    """What to answer, in one of three forms, by what, and how to sample."""

    profile: Annotated[str, Field(max_length=NAME)] | None = None
    """Instead of the query's."""
    weights: Annotated[
        Annotated[str, Field(max_length=NAME)] | dict[str, float] | None,
        one_message("weights is a text such as 0.3,0.5,0.2 or has a number for each category; correct it."),
        at_most(WEIGHTS, "weights"),
    ] = None
    """Instead of the query's: the same text, or a number for each category that counts, by name."""
    question: Text | None = None
    """A question, answered from `passages`: the form that policies are trained on. Without passages, only categories
    that need none, such as toxicity, score the answer."""
    passages: Passages = Field(default_factory=list)
    """Cut to the prompt budget, in a fair share each."""
    prompt: Text | None = None
    """The whole prompt, used as it is."""
    messages: Annotated[Annotated[list[Message], Field(fail_fast=True)] | None, at_most(MESSAGES, "messages")] = None
    """A conversation, formatted by the base model's chat template."""
    max_tokens: int | None = Field(None, ge=1)
    """The profile's default without it."""
    temperature: float | None = Field(None, ge=0, le=2, strict=False)
    """0 always takes the likeliest token."""
    top_p: float | None = Field(None, gt=0, le=1, strict=False)
    """Sample from the likeliest tokens that together have this probability."""
    seed: Seed | None = None
    """The same seed with the same policy gives the same text, except for rounding that depends on other requests in the
    batch; -1 for a random one."""
    stop: Stops = None
    """Text at which generation ends; it is not part of the answer."""
    stream: bool = False
    """Answer by server-sent events: `token` for each piece, then `done`, or `error`."""
    best_of: int | None = Field(None, ge=1)
    """Samples, of which the best by the reward models under the request's weights is the answer."""

    @model_validator(mode="after")
    def _sensible(self) -> "GenerateRequest":
        fields = [name for name in ("question", "prompt", "messages") if getattr(self, name) is not None]
        if len(fields) != 1:
            raise ValueError(
                "Give exactly one of question, prompt and messages"
                + (f", not {' and '.join(fields)}." if fields else ".")
            )
        content = getattr(self, fields[0])
        if not (content.strip() if isinstance(content, str) else content):
            raise InvalidField(fields[0], f"The {fields[0]} is empty; ask something.")
        if self.passages and self.question is None:
            message = "Passages go with a question; put them into the prompt or the messages yourself."
            raise InvalidField("passages", message)
        return self

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop texts."""
        return listed_stops(self.stop)


class Usage(BaseModel):
    """Tokens read and written."""

    prompt_tokens: int
    completion_tokens: int


class GenerateResponse(BaseModel):
    """An answer; without its text, the last event of a stream."""

    id: str
    profile: str
    policy: PolicyName
    weights: dict[str, float]
    """Those asked for."""
    weights_served: dict[str, float]
    """The nearest that the policies can be mixed for; the same unless those asked for are out of reach."""
    text: str
    finish_reason: str
    usage: Usage
    passages_cut: bool
    """Whether passages were cut to the prompt budget."""


class SampledUsage(Usage):
    """Tokens written in all samples, also those that were not chosen."""

    samples: int


class BestOfResponse(GenerateResponse):
    """The best of several samples with its scores."""

    usage: SampledUsage
    best_of: BestOf
    scores: dict[str, Any] | None
    """As of GET /responses/{id}; null unless chosen."""
    in_domain: bool | None = None
    notes: list[str] | None = None
