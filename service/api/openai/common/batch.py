"""A request of one prompt or several, and its answers as they come."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from service.answering.pipeline import Pipeline
from service.answering.prepared import Prepared
from service.api.common.limits import LOGPROBS
from service.api.common.reply import sources_json
from service.api.openai.common.answer_format import AnswerFormat
from service.api.openai.common.merged_streams import merged
from service.api.openai.common.protocol import CompletionsRequest
from service.domain.answer import Answer, Piece
from service.domain.request import AnswerRequest
from service.errors import InvalidRequest


@dataclass(frozen=True)
class Batch:
    """A request that is known to be answerable."""

    model: str
    """As asked for."""
    prompts: tuple[Prepared, ...]
    format: AnswerFormat
    include_usage: bool
    """Whether a stream ends with its usage."""
    messages: int | None = None
    """Messages of the conversation, where the response says how many of them were not read."""

    @property
    def id(self) -> str:
        """The response's id, which is also its first answer's."""
        return self.prompts[0].id

    def sources(self) -> dict[str, Any]:
        """What the answers come from: all prompts ask for the same policy, and any may have its passages cut."""
        first = self.prompts[0]
        cut = any(prepared.prompt.passages_cut for prepared in self.prompts)
        left_out = {} if self.messages is None else {"messages_left_out": self.messages - first.prompt.messages}
        return sources_json(first.policy, first.weights, cut) | left_out

    def index(self, prompt: int, completion: int) -> int:
        """The index of a prompt's completion among all completions, as OpenAI counts them."""
        return prompt * self.prompts[0].returned + completion


async def prepare(
    pipeline: Pipeline,
    body: CompletionsRequest,
    requests: Sequence[AnswerRequest],
    answer_format: AnswerFormat,
    messages: int | None = None,
) -> Batch:
    """Check every prompt of a request; `messages` as in Batch. Raises ServiceError."""
    check_logprobs(requests, pipeline.limits.max_tokens)
    prompts = tuple(await pipeline.prepare_all(requests))
    return Batch(body.model, prompts, answer_format, body.include_usage, messages)


def check_logprobs(requests: Sequence[AnswerRequest], max_tokens: int) -> None:
    """Raises InvalidRequest for more log-probabilities than the service should hold. All prompts ask for the same."""
    sampling = requests[0].sampling
    if sampling.logprobs is None:
        return
    completions = len(requests) * (sampling.best_of or sampling.n)
    count = completions * (sampling.max_tokens or max_tokens) * (sampling.logprobs + 1)
    if count > LOGPROBS:
        raise InvalidRequest(
            f"The answers may hold {count} log-probabilities, and {LOGPROBS} are allowed; ask for fewer prompts, "
            "answers, tokens or logprobs.",
            "logprobs",
        )


async def events(pipeline: Pipeline, batch: Batch) -> AsyncGenerator[tuple[int, Piece | Answer], None]:
    """The pieces and answers of all prompts as they come, each with its prompt's number."""
    streams = [pipeline.stream(prepared) for prepared in batch.prompts]
    if len(streams) > 1:
        async with aclosing(merged(streams)) as merged_events:
            async for number, event in merged_events:
                yield number, event
    else:
        async with aclosing(streams[0]) as stream:
            async for event in stream:
                yield 0, event
