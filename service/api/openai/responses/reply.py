"""An answer as OpenAI's Response, whole or as the events of a stream."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from itertools import count
from time import time
from typing import Any

from service.answering.pipeline import Pipeline
from service.answering.prepared import Prepared
from service.api.common.reply import best_of_json, sources_json
from service.api.openai.common.logprobs import logprob_entries
from service.api.openai.responses.protocol import ResponsesRequest
from service.api.openai.responses.shape import (
    ending_json,
    message_id,
    message_json,
    response_json,
    status_of,
    text_json,
    usage_json,
)
from service.domain.answer import Answer, Piece, TokenLogprob
from service.edge.error_replies import for_openai
from service.errors import ServiceError

Event = dict[str, Any]
_ERROR_CODES = {429: "rate_limit_exceeded", 400: "invalid_prompt"}
"""What OpenAI's client knows of a failed response; everything else is `server_error`."""


@dataclass(frozen=True)
class Asked:
    """A request that is known to be answerable."""

    body: ResponsesRequest
    prepared: Prepared
    messages: int
    """Messages of its conversation, with the instructions."""
    created: int

    def response(self, status: str, **fields: Any) -> dict[str, Any]:
        """The response in a state; `fields` are those that have a value in it."""
        body, prepared = self.body, self.prepared
        form = body.text.format if body.text and body.text.format else None
        asked = {
            "instructions": body.instructions,
            "max_output_tokens": body.max_output_tokens,
            "metadata": body.metadata or {},
            "previous_response_id": body.previous_response_id,
            "store": body.store is not False,
            "temperature": prepared.params.temperature,
            "text": {"format": form.model_dump(by_alias=True, exclude_none=True) if form else {"type": "text"}},
            "top_logprobs": body.top_logprobs or 0,
            "top_p": prepared.params.top_p,
            "truncation": body.truncation or "disabled",
            **sources_json(prepared.policy, prepared.weights, prepared.prompt.passages_cut),
            "messages_left_out": self.messages - prepared.prompt.messages,
        }
        return response_json(prepared.id, body.model, self.created, status, **asked | fields)

    def message(self, status: str, *content: dict[str, Any]) -> dict[str, Any]:
        """The output's only message."""
        return message_json(self.prepared.id, status, *content)

    def logprobs(self, tokens: tuple[TokenLogprob, ...]) -> list[dict[str, Any]]:
        """The log-probabilities of some tokens, where the request asks for any."""
        alternatives = self.body.logprobs
        return [] if alternatives is None else logprob_entries(tokens, alternatives)

    def ended(self, answer: Answer) -> dict[str, Any]:
        """The whole response."""
        completion = answer.completions[0]
        content = text_json(completion.text, self.logprobs(completion.logprobs))
        return self.response(
            completed_at=int(time()),
            usage=usage_json(answer),
            **ending_json(self.prepared.id, completion.finish_reason, content),
            **best_of_json(answer, completion),
        )


async def to_reply(pipeline: Pipeline, asked: Asked) -> dict[str, Any]:
    """The whole response. Cancelling aborts the generation. Raises ServiceError."""
    return asked.ended(await pipeline.answer(asked.prepared))


async def to_events(pipeline: Pipeline, asked: Asked) -> AsyncGenerator[Event, None]:
    """The events of a response as the answer comes; the best of several samples comes at once.

    Closing aborts the generation. What fails is the last event.
    """
    numbers = count()

    def event(kind: str, **fields: Any) -> Event:
        return {"type": kind, "sequence_number": next(numbers), **fields}

    item = {"output_index": 0}
    part = {"item_id": message_id(asked.prepared.id), "content_index": 0, **item}
    yield event("response.created", response=asked.response("in_progress"))
    yield event("response.in_progress", response=asked.response("in_progress"))
    yield event("response.output_item.added", item=asked.message("in_progress"), **item)
    yield event("response.content_part.added", part=text_json("", []), **part)
    try:
        async with aclosing(pipeline.stream(asked.prepared)) as arriving:
            async for piece in arriving:
                if isinstance(piece, Piece):
                    if piece.text or piece.logprobs:
                        logprobs = asked.logprobs(piece.logprobs)
                        yield event("response.output_text.delta", delta=piece.text, logprobs=logprobs, **part)
                    continue
                completion = piece.completions[0]
                logprobs = asked.logprobs(completion.logprobs)
                if asked.prepared.chooses:
                    yield event("response.output_text.delta", delta=completion.text, logprobs=logprobs, **part)
                yield event("response.output_text.done", text=completion.text, logprobs=logprobs, **part)
                yield event("response.content_part.done", part=text_json(completion.text, logprobs), **part)
                response = asked.ended(piece)
                yield event("response.output_item.done", item=response["output"][0], **item)
                yield event(f"response.{status_of(completion.finish_reason)}", response=response)
    except ServiceError as error:
        translated = for_openai(error)
        code = _ERROR_CODES.get(translated.status, "server_error")
        yield event("response.failed", response=asked.response("failed", error={"code": code, "message": str(error)}))
