"""Completions and chat completions in terms of Answers."""

import time
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Literal

from rewards.categories import Category
from rewards.dataset import Passage
from service.answering.answers import Answers, chooses, chosen, sources
from service.api.openai.common.merged_streams import merged
from service.api.openai.common.protocol import ChatRequest, CompletionRequest
from service.api.openai.common.shapes import ChatShape, CompletionShape, Shape
from service.domain.caller import ANONYMOUS, Caller
from service.domain.request import Answer, Content, Conversation, Prepared, Question, Task, choice_id
from service.domain.selection import Selection
from service.engine.engine import Piece
from service.errors import Invalid


@dataclass(frozen=True)
class Batch:
    """A request that is known to be answerable: one prompt, or several."""

    model: str
    prompts: tuple[Prepared, ...]
    shape: Shape
    include_usage: bool
    """Whether a stream ends with its usage."""
    remarks: dict[str, Any] = field(default_factory=dict)
    """What the response says besides."""

    @property
    def id(self) -> str:
        """The response's, which is also its first answer's."""
        return self.prompts[0].id

    def sources(self) -> dict[str, Any]:
        """What the answers come from: every prompt asks for the same, and any may have its passages cut."""
        first = self.prompts[0]
        cut = any(prepared.prompt.passages_cut for prepared in self.prompts)
        return sources(first.policy, first.wanted, cut) | self.remarks

    def index(self, prompt: int, choice: int) -> int:
        """The place of a prompt's choice among all choices, as OpenAI counts them."""
        return prompt * self.prompts[0].keep + choice


class OpenAIServing:
    """Answers the requests of /v1/completions and /v1/chat/completions."""

    def __init__(self, answers: Answers, categories: Iterable[Category], max_prompts: int) -> None:
        self._answers = answers
        self._categories = tuple(categories)
        self._max_prompts = max_prompts

    async def prepare(self, request: CompletionRequest | ChatRequest, caller: Caller = ANONYMOUS) -> Batch:
        """Check a request. Raises ServiceError."""
        selection = Selection.of_model(request.model, self._categories)
        sampling = request.as_sampling()
        shape: Shape
        if isinstance(request, ChatRequest):
            contents, param, shape = [_conversation(request)], "messages", ChatShape(sampling.logprobs)
        else:
            contents, param, shape = list(_prompts(request)), "prompt", CompletionShape(sampling.logprobs)
        if not 0 < len(contents) <= self._max_prompts:
            raise Invalid(f"There are {len(contents)} prompts; send 1 to {self._max_prompts} in one request.", param)
        tasks = [Task(selection, content, sampling, param, caller) for content in contents]
        remarks = {}
        if isinstance(request, ChatRequest) and request.passages is not None:
            remarks["messages_left_out"] = len(request.messages) - 1
        prompts = tuple([await self._answers.prepare(task) for task in tasks])
        return Batch(request.model, prompts, shape, request.include_usage, remarks)

    async def turn(self, batch: Batch) -> Literal[True]:
        """Wait until the first answer can begin. Raises Overloaded."""
        return await self._answers.turn(batch.prompts[0])

    async def complete(self, batch: Batch) -> dict[str, Any]:
        """The whole response. Cancelling aborts the generation. Raises ServiceError."""
        answers: dict[int, Answer] = {}
        async with aclosing(self._events(batch)) as events:
            async for prompt, event in events:
                if isinstance(event, Answer):
                    answers[prompt] = event
        ordered = [answers[prompt] for prompt in range(len(batch.prompts))]
        first = ordered[0]
        return {
            **_head(batch, batch.shape.whole, first.created),
            "choices": [choice for prompt, answer in enumerate(ordered) for choice in _choices(batch, prompt, answer)],
            "usage": _usage(ordered),
            **batch.sources(),
        }

    async def stream(self, batch: Batch) -> AsyncGenerator[dict[str, Any], None]:
        """Chunks as the answers come, the first one with what they come from; a chosen answer is one chunk.

        Closing aborts the generation. Raises ServiceError.
        """
        head = _head(batch, batch.shape.chunk, int(time.time()))
        if batch.include_usage:
            head["usage"] = None
        remarks = batch.sources()
        answers: list[Answer] = []
        async with aclosing(self._events(batch)) as events:
            async for prompt, event in events:
                if isinstance(event, Answer):
                    answers.append(event)
                    choices = _chosen_pieces(batch, prompt, event) if chooses(batch.prompts[prompt]) else ()
                else:
                    choices = (_piece(batch, prompt, event),)
                for choice in choices:
                    yield head | {"choices": [choice]} | remarks
                    remarks = {}
        if batch.include_usage:
            yield head | {"choices": [], "usage": _usage(answers)}

    async def _events(self, batch: Batch) -> AsyncGenerator[tuple[int, Piece | Answer], None]:
        """What all prompts' answers grow by, with the prompt's number."""
        streams = [self._answers.stream(prepared) for prepared in batch.prompts]
        if len(streams) > 1:
            async with aclosing(merged(streams)) as events:
                async for number, event in events:
                    yield number, event
        else:
            async with aclosing(streams[0]) as stream:
                async for event in stream:
                    yield 0, event


def _passages(request: CompletionRequest | ChatRequest) -> tuple[Passage, ...]:
    return tuple(Passage(title=passage.title, text=passage.text) for passage in request.passages or ())


def _prompts(request: CompletionRequest) -> Iterator[Content]:
    for prompt in request.prompts():
        if request.passages is None:
            yield prompt
        elif isinstance(prompt, str):
            yield Question(prompt, _passages(request))
        else:
            raise Invalid("With passages, the prompt is the question; send it as text.", "prompt")


def _conversation(request: ChatRequest) -> Content:
    if request.passages is not None:
        return Question(request.messages[-1].text, _passages(request))
    return Conversation(tuple(message.as_turn() for message in request.messages))


def _head(batch: Batch, kind: str, created: int) -> dict[str, Any]:
    return {
        "id": batch.id,
        "object": kind,
        "created": created,
        "model": batch.model,
        "system_fingerprint": batch.prompts[0].policy.adapter_name,
    }


def _choices(batch: Batch, prompt: int, answer: Answer) -> Iterator[dict[str, Any]]:
    """The whole choices of one prompt."""
    for choice in answer.choices:
        written = batch.shape.choice(batch.index(prompt, choice.index), choice)
        yield written | {"response_id": choice_id(answer.id, choice.index)} | chosen(answer, choice)


def _chosen_pieces(batch: Batch, prompt: int, answer: Answer) -> tuple[dict[str, Any], ...]:
    """The chosen answers to one prompt, each as its first and last piece."""
    pieces = [Piece(c.text, c.tokens, c.finish_reason, c.index, c.logprobs) for c in answer.choices]
    return tuple(
        _piece(batch, prompt, piece) | chosen(answer, choice)
        for piece, choice in zip(pieces, answer.choices, strict=True)
    )


def _piece(batch: Batch, prompt: int, piece: Piece) -> dict[str, Any]:
    """What one answer has grown by; its last piece says by what id the answer is kept."""
    written = batch.shape.piece(batch.index(prompt, piece.index), piece)
    if piece.finish_reason is not None:
        written["response_id"] = choice_id(batch.prompts[prompt].id, piece.index)
    return written


def _usage(answers: Sequence[Answer]) -> dict[str, Any]:
    read = sum(answer.prompt_tokens for answer in answers)
    written = sum(answer.completion_tokens for answer in answers)
    usage = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
    samples = [answer.choosing.samples for answer in answers if answer.choosing is not None]
    return usage | ({"samples": sum(samples)} if samples else {})
