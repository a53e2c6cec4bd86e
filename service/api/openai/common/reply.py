"""A batch's answers as OpenAI's response, whole or in chunks."""

import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import Any

from service.answering.pipeline import Pipeline
from service.api.common.reply import best_of_json
from service.api.openai.common.batch import Batch, events
from service.domain.answer import Answer, Piece, completion_id


async def to_reply(pipeline: Pipeline, batch: Batch) -> dict[str, Any]:
    """The whole response. Cancelling aborts the generation. Raises ServiceError."""
    answers: dict[int, Answer] = {}
    async with aclosing(events(pipeline, batch)) as arriving:
        async for prompt, event in arriving:
            if isinstance(event, Answer):
                answers[prompt] = event
    ordered = [answers[prompt] for prompt in range(len(batch.prompts))]
    return {
        **_head(batch, batch.format.whole, ordered[0].created),
        "choices": [choice for prompt, answer in enumerate(ordered) for choice in _choices(batch, prompt, answer)],
        "usage": _usage(ordered),
        **batch.sources(),
    }


async def to_chunks(pipeline: Pipeline, batch: Batch) -> AsyncGenerator[dict[str, Any], None]:
    """Chunks as the answers come, the first one with what they come from; the best of several samples is one chunk.

    Closing aborts the generation. Raises ServiceError.
    """
    head = _head(batch, batch.format.chunk, int(time.time()))
    if batch.include_usage:
        head["usage"] = None
    sources = batch.sources()
    answers: list[Answer] = []
    async with aclosing(events(pipeline, batch)) as arriving:
        async for prompt, event in arriving:
            if isinstance(event, Answer):
                answers.append(event)
                choices = _best_pieces(batch, prompt, event) if batch.prompts[prompt].chooses else ()
            else:
                choices = (_piece(batch, prompt, event),)
            for choice in choices:
                yield head | {"choices": [choice]} | sources
                sources = {}
    if batch.include_usage:
        yield head | {"choices": [], "usage": _usage(answers)}


def _head(batch: Batch, kind: str, created: int) -> dict[str, Any]:
    return {
        "id": batch.id,
        "object": kind,
        "created": created,
        "model": batch.model,
        "system_fingerprint": batch.prompts[0].policy.adapter_name,
    }


def _choices(batch: Batch, prompt: int, answer: Answer) -> Iterator[dict[str, Any]]:
    """The whole completions of one prompt."""
    for completion in answer.completions:
        choice = batch.format.choice(batch.index(prompt, completion.index), completion)
        response_id = completion_id(answer.id, completion.index)
        yield choice | {"response_id": response_id} | best_of_json(answer, completion)


def _best_pieces(batch: Batch, prompt: int, answer: Answer) -> tuple[dict[str, Any], ...]:
    """The completions that were chosen for one prompt, each as its only piece."""
    pieces = [Piece(c.text, c.tokens, c.finish_reason, c.index, c.logprobs) for c in answer.completions]
    return tuple(
        _piece(batch, prompt, piece) | best_of_json(answer, completion)
        for piece, completion in zip(pieces, answer.completions, strict=True)
    )


def _piece(batch: Batch, prompt: int, piece: Piece) -> dict[str, Any]:
    """The part by which one completion has grown; its last piece has the id at GET /responses/{id}."""
    choice = batch.format.piece(batch.index(prompt, piece.index), piece)
    if piece.finish_reason is not None:
        choice["response_id"] = completion_id(batch.prompts[prompt].id, piece.index)
    return choice


def _usage(answers: Sequence[Answer]) -> dict[str, Any]:
    prompt = sum(answer.prompt_tokens for answer in answers)
    completion = sum(answer.completion_tokens for answer in answers)
    usage: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": sum(answer.cached_tokens for answer in answers)},
    }
    samples = [answer.best_of.samples for answer in answers if answer.best_of is not None]
    return usage | ({"samples": sum(samples)} if samples else {})
