"""The response to a request for completions over HTTP, at once or streamed."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from service.answering.pipeline import Pipeline
from service.api.openai.common.batch import Batch
from service.api.openai.common.protocol import CompletionsResponse
from service.api.openai.common.reply import to_chunks, to_reply
from service.edge.client_disconnect import CLIENT_CLOSED, unless_disconnected
from service.edge.error_replies import for_openai
from service.edge.sse import EventStream, event
from service.errors import ServiceError

STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The completion, or with `stream` its chunks as server-sent events, then `[DONE]`.",
        "content": {"text/event-stream": {}},
    }
}
"""What a route declares of its streams."""


async def respond(
    request: Request, pipeline: Pipeline, batch: Batch, kind: type[CompletionsResponse], *, stream: bool
) -> Response:
    """The answers to a batch. Raises ServiceError before a stream begins; later errors are events of the stream."""
    if stream:
        # Before the stream's 200 goes out, so that waiting in vain is a 503 in both forms.
        first = batch.prompts[0]
        if not first.has_turn and await unless_disconnected(request, pipeline.wait_for_turn(first)) is None:
            return Response(status_code=CLIENT_CLOSED)
        # Clients, vLLM's benchmark among them, look for events that end in "\n\n". That benchmark loses everything
        # that follows a ping, which vLLM's own server never sends.
        return EventStream(_events(pipeline, batch))
    reply = await unless_disconnected(request, to_reply(pipeline, batch))
    if reply is None:
        return Response(status_code=CLIENT_CLOSED)
    return JSONResponse(kind.model_validate(reply).model_dump(exclude_unset=True))


async def _events(pipeline: Pipeline, batch: Batch) -> AsyncGenerator[bytes, None]:
    try:
        async with aclosing(to_chunks(pipeline, batch)) as chunks:
            async for chunk in chunks:
                yield event(chunk)
    except ServiceError as error:
        yield event(for_openai(error).body())
    yield event("[DONE]")
