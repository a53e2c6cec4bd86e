"""POST /v1/responses over HTTP."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from time import time
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from service.answering.pipeline import Pipeline
from service.api.common.route import GeneratingRoute
from service.api.openai.common.batch import check_logprobs
from service.api.openai.responses.history import history
from service.api.openai.responses.protocol import ResponsesRequest, ResponsesResponse
from service.api.openai.responses.reply import Asked, to_events, to_reply
from service.api.openai.responses.translate import conversation, to_request
from service.backend import backend_of
from service.edge.authentication import caller_of
from service.edge.client_disconnect import CLIENT_CLOSED, unless_disconnected
from service.edge.route_scope import needs
from service.edge.sse import EventStream, event
from service.errors import GENERATING

router = APIRouter(route_class=GeneratingRoute)

_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The response, or with `stream` its events as server-sent events.",
        "content": {"text/event-stream": {}},
    }
}


@router.post("/responses", response_model=ResponsesResponse, responses=GENERATING | _STREAM)
@needs("generate")
async def responses(request: Request, body: ResponsesRequest) -> Response:
    """Answer the next turn of a conversation, or a question from passages, at once or streamed."""
    backend, caller = backend_of(request), caller_of(request)
    pipeline = backend.pipeline
    earlier = await history(backend, body.previous_response_id, caller)
    turns = conversation(body, earlier)
    answer_request = to_request(
        body, turns, earlier.passages, backend.categories, backend.settings.max_prompt_tokens, caller
    )
    check_logprobs([answer_request], pipeline.limits.max_tokens)
    prepared = await pipeline.prepare(answer_request)
    asked = Asked(body, prepared, len(turns) + bool(body.instructions), int(time()))
    if body.stream:
        # Before the stream's 200 goes out, so that waiting in vain is a 503 in both forms.
        if not prepared.has_turn and await unless_disconnected(request, pipeline.wait_for_turn(prepared)) is None:
            return Response(status_code=CLIENT_CLOSED)
        return EventStream(_events(pipeline, asked))
    reply = await unless_disconnected(request, to_reply(pipeline, asked))
    return Response(status_code=CLIENT_CLOSED) if reply is None else JSONResponse(reply)


async def _events(pipeline: Pipeline, asked: Asked) -> AsyncGenerator[bytes, None]:
    async with aclosing(to_events(pipeline, asked)) as events:
        async for content in events:
            yield event(content, content["type"])
