"""Requests of POST /v1/responses, and the fields of what it and GET and DELETE /v1/responses/{id} answer.

OpenAI's client reads a response by types of its own, which tests hold `shape.py` against.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from service.api.common.limits import NAME, at_most
from service.api.common.wire import BestOf, PolicyName, Text
from service.api.openai.common.protocol import OpenAIWire, SamplingRequest
from service.api.openai.common.structure import Schema, Structure, structure_of
from service.api.openai.responses.items import Input
from service.domain.request import Sampling
from service.errors import InvalidField

LOGPROBS = "message.output_text.logprobs"
"""What `include` names to get log-probabilities."""
_METADATA = 16
"""Pairs of `metadata`, as OpenAI limits them."""
_NOT_SERVED = {
    "background": "ask for a stream instead",
    "conversation": "go on by previous_response_id",
    "prompt": "no prompts are stored; send the text as input",
    "context_management": "set truncation to auto to leave out what does not fit",
    "response_format": "give the form as text.format",
    "max_tokens": "give it as max_output_tokens",
    "messages": "give them as input",
}
"""Fields of this API that would change what happens, and what to do instead."""


class Form(BaseModel):
    """The form that the answer must have."""

    model_config = ConfigDict(extra="ignore", strict=True)

    type: Literal["text", "json_object", "json_schema"] = "text"
    name: str | None = None
    description: str | None = None
    schema_: Schema | None = Field(None, alias="schema")
    strict: bool | None = None

    @model_validator(mode="after")
    def _whole(self) -> "Form":
        if self.type == "json_schema" and self.schema_ is None:
            raise InvalidField("text.format.schema", "The type json_schema needs a schema; give it as schema.")
        return self

    def as_structure(self) -> Structure | None:
        """In vLLM's terms; None for any text."""
        return {"text": None, "json_object": {"json_object": True}, "json_schema": {"json": self.schema_}}[self.type]


class TextSettings(BaseModel):
    """What the text of the answer should be like."""

    model_config = ConfigDict(extra="ignore", strict=True)

    format: Form | None = None


class ResponsesRequest(SamplingRequest):
    """What POST /v1/responses takes."""

    input: Input
    """A text, or the messages of a conversation; with `passages`, the last one is the question."""
    instructions: Text | None = None
    """The first message of the system. It is not carried over by `previous_response_id`, and not read with
    `passages`."""
    previous_response_id: str | None = Field(None, max_length=NAME)
    """The response whose conversation, and whose passages unless the request has its own, this request goes on from."""
    max_output_tokens: int | None = Field(None, ge=1)
    text: TextSettings | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)
    include: list[str] | None = None
    store: bool | None = None
    """Whether a later request may go on from this response; true without it."""
    truncation: Literal["auto", "disabled"] | None = None
    """`auto` leaves out the oldest messages where the conversation does not fit."""
    metadata: Annotated[dict[str, str], at_most(_METADATA, "pairs of metadata")] | None = None

    @model_validator(mode="before")
    @classmethod
    def _possible(cls, body: Any) -> Any:
        if isinstance(body, dict):
            for name, instead in _NOT_SERVED.items():
                if body.get(name):
                    raise InvalidField(name, f"{name} is not served; {instead}.")
        return body

    @property
    def structure(self) -> Structure | None:
        """The form that the answer must have; None for any text. Raises InvalidRequest for two."""
        form = self.text.format if self.text else None
        return structure_of(form.as_structure() if form else None, self.structured_outputs)

    @property
    def logprobs(self) -> int | None:
        """Alternatives to each token to return; None for no log-probabilities."""
        return self.top_logprobs or 0 if self.top_logprobs or LOGPROBS in (self.include or ()) else None

    def as_sampling(self) -> Sampling:
        """In the service's own terms."""
        return self.sampling(self.max_output_tokens, self.logprobs)


class _AnyResponse(OpenAIWire):
    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)

    id: str
    """Also at GET /responses/{id}, which adds the scores."""
    object: Literal["response"]
    created_at: float
    model: str
    output: list[dict[str, Any]]
    """One message with one text."""
    usage: dict[str, Any] | None
    policy: PolicyName
    """Not OpenAI's, like `weights` and those below."""
    best_of: BestOf | None = None
    scores: dict[str, Any] | None = None
    in_domain: bool | None = None
    notes: list[str] | None = None


class ResponsesResponse(_AnyResponse):
    """What POST /v1/responses answers."""

    status: Literal["completed", "incomplete", "in_progress", "failed"]
    """`incomplete` where the answer has as many tokens as it may."""
    weights: dict[str, float]
    weights_served: dict[str, float]
    passages_cut: bool
    messages_left_out: int = Field(0, ge=0)
    """Messages that were not read, because they do not fit or because `passages` make the last one the question."""


class RetrievedResponse(_AnyResponse):
    """What GET /v1/responses/{id} answers: the response as it was, but for what is not kept of it, which is null."""

    status: Literal["completed", "incomplete"]
    weights: dict[str, float] | None
    weights_served: dict[str, float] | None
    """Null, like `usage` and `passages_cut`, of one that only the feedback store has."""
    passages_cut: bool | None
    messages_left_out: None = None


class DeletedResponse(OpenAIWire):
    """What DELETE /v1/responses/{id} answers."""

    id: str
    object: Literal["response"] = "response"
    deleted: Literal[True] = True
