"""Requests of POST /v1/completions, and its responses."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from service.api.common.limits import PROMPTS, TOKEN_IDS, at_most, check_count
from service.api.common.wire import Text, one_message
from service.api.openai.common.protocol import CompletionsRequest, CompletionsResponse, OpenAIChoice, OpenAIWire
from service.domain.request import Sampling

TokenId = Annotated[int, Field(ge=0, lt=1 << 31)]
TokenIds = Annotated[list[TokenId], Field(fail_fast=True), at_most(TOKEN_IDS, "token ids")]


def _check_prompts(value: Any) -> Any:
    """A list holds the token ids of one prompt, or else prompts."""
    of_token_ids = isinstance(value, list) and value and isinstance(value[0], int)
    return check_count(value, *((TOKEN_IDS, "token ids") if of_token_ids else (PROMPTS, "prompts")))


class CompletionRequest(CompletionsRequest):
    """What POST /v1/completions takes."""

    prompt: Annotated[
        Text
        | Annotated[list[Text], Field(fail_fast=True)]
        | TokenIds
        | Annotated[list[TokenIds], Field(fail_fast=True)],
        one_message("prompt is a text, a list of token ids, or a list of either; correct it and send it again."),
        BeforeValidator(_check_prompts),
    ]
    """The whole prompt, as text or token ids, or several; with `passages`, the question."""
    logprobs: int | None = Field(None, ge=0, le=20)
    """Alternatives to each token whose log-probabilities are returned with the token's own."""

    def prompts(self) -> Iterator[str | tuple[int, ...]]:
        """Each prompt."""
        if isinstance(self.prompt, str):
            yield self.prompt
        elif self.prompt and isinstance(self.prompt[0], int):
            yield tuple(self.prompt)
        else:
            for prompt in self.prompt:
                yield prompt if isinstance(prompt, str) else tuple(prompt)  # type: ignore[arg-type]

    def as_sampling(self) -> Sampling:
        """In the service's own terms."""
        return self.sampling(self.max_tokens, self.logprobs)


class CompletionLogprobs(OpenAIWire):
    """Log-probabilities of an answer's tokens, in nats, before temperature and truncation."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]
    """Where in the answer each token begins."""


class CompletionChoice(OpenAIChoice):
    """An answer."""

    text: str
    logprobs: CompletionLogprobs | None


class CompletionResponse(CompletionsResponse):
    """What POST /v1/completions answers."""

    object: Literal["text_completion"]
    choices: list[CompletionChoice]
