"""Translation between HTTP and Generation."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response
from sse_starlette import EventSourceResponse, ServerSentEvent

from service.answering.answers import remembered
from service.api.generate.protocol import BestOfResponse, GenerateRequest, GenerateResponse
from service.api.generate.translate import GenerateServing
from service.backend import backend_of
from service.domain.caller import kept_caller
from service.domain.request import Prepared
from service.edge.authentication import caller_of
from service.edge.client_disconnect import CLIENT_CLOSED, unless_disconnected
from service.edge.sse import event_data
from service.errors import ANY_ROUTE, GENERATING, NotFound, ServiceError, error_responses

router = APIRouter()

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
async def generate(
    request: Request, body: GenerateRequest, profile: ProfileQuery = None, weights: WeightsQuery = None
) -> Response:
    """Answer by the policy of a profile, `medium` unless asked otherwise, at once or streamed."""
    backend = backend_of(request)
    serving = GenerateServing(backend.answers, backend.categories)
    prepared = await serving.prepare(body, profile, weights, caller_of(request))
    if body.stream:
        # Before the stream's 200 goes out, so that waiting in vain is a 503 in both forms.
        if await unless_disconnected(request, serving.turn(prepared)) is None:
            return Response(status_code=CLIENT_CLOSED)
        return EventSourceResponse(_events(serving, prepared))
    answer = await unless_disconnected(request, serving.answer(prepared))
    return Response(status_code=CLIENT_CLOSED) if answer is None else JSONResponse(answer.model_dump())


@router.get("/responses/{response_id}", responses=ANY_ROUTE | error_responses(404, 503))
async def response(request: Request, response_id: str) -> dict[str, Any]:
    """An answer with the reward models' scores; `scores` is null until scored, or when it cannot be scored.

    One that is not in memory any more comes from the feedback store, where there is one, and then has its question and
    passages for the key that asked and for keys of scope `feedback`.
    """
    backend = backend_of(request)
    if (recent := backend.recent.get(response_id)) is not None:
        return recent
    if (kept := await backend.feedback.served(response_id)) is not None:
        caller = caller_of(request)
        return remembered(kept, "feedback" in caller.scopes or kept_caller(caller.id) == kept.caller)
    raise NotFound(
        f"There is no response {response_id[:64]!r}; only the latest {backend.settings.recent_responses} are kept.",
        "response_id",
    )


async def _events(serving: GenerateServing, prepared: Prepared) -> AsyncIterator[ServerSentEvent]:
    try:
        async with aclosing(serving.stream(prepared)) as pieces:
            async for piece in pieces:
                if isinstance(piece, GenerateResponse):
                    yield _event("done", piece.model_dump(exclude={"text"}))
                else:
                    yield _event("token", {"text": piece})
    except ServiceError as error:
        yield _event("error", error.body())


def _event(name: str, data: dict[str, Any]) -> ServerSentEvent:
    return ServerSentEvent(event_data(data), event=name)
