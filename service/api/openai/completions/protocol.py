"""Requests of POST /v1/completions, and its responses."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from service.api.common.wire import Text, one_message
from service.api.openai.common.protocol import CompletionsRequest, CompletionsResponse, OpenAIChoice, OpenAIWire
from service.domain.request import Sampling

TokenId = Annotated[int, Field(ge=0, lt=1 << 31)]


class CompletionRequest(CompletionsRequest):
    """What POST /v1/completions takes."""

    prompt: Annotated[
        Text | list[Text] | list[TokenId] | list[list[TokenId]],
        one_message("prompt is a text, a list of token ids, or a list of either; correct it and send it again."),
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
