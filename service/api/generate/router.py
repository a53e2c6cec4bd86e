"""POST /generate over HTTP."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, Response

from service.answering.pipeline import Pipeline
from service.answering.prepared import Prepared
from service.api.common.query import only_known
from service.api.common.route import GeneratingRoute
from service.api.generate.protocol import BestOfResponse, GenerateRequest, GenerateResponse
from service.api.generate.translate import to_events, to_reply, to_request
from service.backend import backend_of
from service.edge.authentication import caller_of
from service.edge.client_disconnect import CLIENT_CLOSED, unless_disconnected
from service.edge.route_scope import needs
from service.edge.sse import event, pinged_stream
from service.errors import GENERATING, ServiceError

router = APIRouter(route_class=GeneratingRoute, dependencies=[Depends(only_known)])

ProfileQuery = Annotated[str | None, Query(description="Name of a profile; GET /profiles lists them.")]
WeightsQuery = Annotated[
    str | None, Query(description="w1,w2,w3 for relevance, factuality, completeness; or name=w,… .")
]

_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answer, or with `stream` its events: `token` for each piece, then `done`, or `error`.",
        "content": {"text/event-stream": {}},
    }
}


@router.post("/generate", response_model=BestOfResponse | GenerateResponse, responses=GENERATING | _STREAM)
@needs("generate")
async def generate(
    request: Request, body: GenerateRequest, profile: ProfileQuery = None, weights: WeightsQuery = None
) -> Response:
    """Answer by the policy of a profile, `medium` unless asked otherwise, at once or streamed."""
    backend = backend_of(request)
    pipeline = backend.pipeline
    asked = to_request(body, backend.categories, profile=profile, weights=weights, caller=caller_of(request))
    prepared = await pipeline.prepare(asked)
    if body.stream:
        # Before the stream's 200 goes out, so that waiting in vain is a 503 in both forms.
        if not prepared.has_turn and await unless_disconnected(request, pipeline.wait_for_turn(prepared)) is None:
            return Response(status_code=CLIENT_CLOSED)
        return pinged_stream(_events(pipeline, prepared))
    answer = await unless_disconnected(request, pipeline.answer(prepared))
    return Response(status_code=CLIENT_CLOSED) if answer is None else JSONResponse(to_reply(answer).model_dump())


async def _events(pipeline: Pipeline, prepared: Prepared) -> AsyncIterator[bytes]:
    try:
        async with aclosing(pipeline.stream(prepared)) as stream:
            async for part in to_events(stream):
                if isinstance(part, GenerateResponse):
                    yield _event("done", part.model_dump(exclude={"text"}))
                else:
                    yield _event("token", {"text": part})
    except ServiceError as error:
        yield _event("error", error.body())


def _event(name: str, data: dict[str, Any]) -> bytes:
    return event(data, name, "\r\n")
