"""POST /tokenize: the tokens of a prompt, as vLLM's endpoint of that name returns them."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator

from policies.names import DEFAULT_PROFILE
from service.api.common.limits import MESSAGES, NAME, at_most
from service.api.common.query import only_known
from service.api.common.route import LimitedRoute
from service.api.common.selection import from_model
from service.api.common.wire import Passages, Text, as_passages
from service.api.openai.chat.protocol import ChatMessage
from service.api.openai.chat.translate import content_of
from service.backend import backend_of
from service.domain.request import AnswerRequest, Content, Question
from service.edge.authentication import caller_of
from service.edge.route_scope import needs
from service.errors import ANY_ROUTE, InvalidField, error_responses

router = APIRouter(route_class=LimitedRoute, dependencies=[Depends(only_known)])


class TokenizeRequest(BaseModel):
    """A prompt for /v1/completions, or messages for /v1/chat/completions. Unknown fields are ignored, as by vLLM."""

    model_config = ConfigDict(extra="ignore", strict=True, use_attribute_docstrings=True)

    model: str = Field(DEFAULT_PROFILE, max_length=NAME)
    """All policies have the base model's tokenizer."""
    prompt: Text | None = None
    messages: Annotated[
        Annotated[list[ChatMessage], Field(min_length=1, fail_fast=True)] | None, at_most(MESSAGES, "messages")
    ] = None
    passages: Passages | None = None
    """With a prompt or messages, passages to answer the question from."""
    return_token_strs: bool | None = None

    @model_validator(mode="after")
    def _either(self) -> "TokenizeRequest":
        if (self.prompt is None) == (self.messages is None):
            raise InvalidField("prompt", "Give exactly one of prompt and messages.")
        return self

    @property
    def content(self) -> Content:
        """In the service's own terms."""
        if self.messages:
            return content_of(self.messages, self.passages)
        prompt = self.prompt or ""
        return Question(prompt, as_passages(self.passages)) if self.passages else prompt


class Tokenized(BaseModel):
    """The tokens of a prompt."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    count: int
    max_model_len: int
    """Tokens of prompt and answer together that are accepted however they are divided."""
    tokens: list[int]
    token_strs: list[str] | None = None
    """The tokens as the vocabulary writes them, where the request asks for them."""


@router.post("/tokenize", responses=ANY_ROUTE | error_responses(400, 404, 413, 415, 422, 429, 503))
@needs("generate")
async def tokenize(request: Request, body: TokenizeRequest) -> Tokenized:
    """The tokens that a prompt or a conversation is read as, control tokens and the chat template's included."""
    backend, caller = backend_of(request), caller_of(request)
    pipeline, selection = backend.pipeline, from_model(body.model, backend.categories)
    pipeline.check_allowance(caller)
    param = "messages" if body.messages else "prompt"
    prompt = await pipeline.format(AnswerRequest(selection, body.content, param=param, caller=caller))
    return Tokenized(
        count=len(prompt.token_ids),
        max_model_len=backend.settings.divided_freely,
        tokens=list(prompt.token_ids),
        token_strs=pipeline.token_texts(prompt) if body.return_token_strs else None,
    )
