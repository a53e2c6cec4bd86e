"""Translation between HTTP and OpenAIServing."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from sse_starlette import EventSourceResponse

from service.api.openai.common.batch import Batch, OpenAIServing
from service.api.openai.common.errors import OpenAIRoute, for_client
from service.api.openai.common.protocol import ChatRequest, CompletionRequest
from service.api.openai.common.responses import ChatResponse, CompletionResponse, Model, ModelList
from service.backend import Backend, backend_of
from service.domain.selection import Selection
from service.edge.authentication import caller_of
from service.edge.client_disconnect import CLIENT_CLOSED, unless_disconnected
from service.edge.sse import event_data
from service.errors import ANY_ROUTE, GENERATING, ServiceError, error_responses
from service.served.roster import ServedPolicy, rounded

router = APIRouter(prefix="/v1", route_class=OpenAIRoute)

_LISTING = ANY_ROUTE | error_responses(400, 404, 503)
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The completion, or with `stream` its chunks as server-sent events, then `[DONE]`.",
        "content": {"text/event-stream": {}},
    }
}


@router.get("/models", responses=_LISTING)
async def models(request: Request) -> ModelList:
    """The profiles, as models."""
    backend = _started(request)
    return ModelList(data=[_model(backend, policy.profile, policy) for policy in backend.roster.served.values()])


@router.get("/models/{model}", responses=_LISTING)
async def model(request: Request, model: str) -> Model:
    """A profile, one of its versions, or the policy for weights, which is loaded if it was not."""
    backend = _started(request)
    selection = Selection.of_model(model, backend.categories)
    return _model(backend, model, await backend.catalogue.choose(selection, ""))


@router.post("/completions", response_model=CompletionResponse, responses=GENERATING | _STREAM)
async def completions(request: Request, body: CompletionRequest) -> Response:
    """Go on from one prompt or several, at once or streamed."""
    return await _respond(request, body, CompletionResponse)


@router.post("/chat/completions", response_model=ChatResponse, responses=GENERATING | _STREAM)
async def chat_completions(request: Request, body: ChatRequest) -> Response:
    """Answer a conversation, or a question from passages, at once or streamed."""
    return await _respond(request, body, ChatResponse)


async def _respond(
    request: Request, body: CompletionRequest | ChatRequest, kind: type[CompletionResponse | ChatResponse]
) -> Response:
    backend = backend_of(request)
    serving = OpenAIServing(backend.answers, backend.categories, backend.settings.max_prompts)
    batch = await serving.prepare(body, caller_of(request))
    if body.stream:
        # Before the stream's 200 goes out, so that waiting in vain is a 503 in both forms.
        if await unless_disconnected(request, serving.turn(batch)) is None:
            return Response(status_code=CLIENT_CLOSED)
        # The clients, vLLM's benchmark among them, look for events that end in "\n\n"; that one loses all that follows
        # a ping, which vLLM's own server never sends.
        return EventSourceResponse(_events(serving, batch), sep="\n", ping=0)
    response = await unless_disconnected(request, serving.complete(batch))
    if response is None:
        return Response(status_code=CLIENT_CLOSED)
    return JSONResponse(kind.model_validate(response).model_dump(exclude_unset=True))


async def _events(serving: OpenAIServing, batch: Batch) -> AsyncIterator[str]:
    try:
        async with aclosing(serving.stream(batch)) as chunks:
            async for chunk in chunks:
                yield event_data(chunk)
    except ServiceError as error:
        yield event_data(for_client(error).body())
    yield "[DONE]"


def _started(request: Request) -> Backend:
    """The backend. Raises Unavailable until it has started."""
    backend = backend_of(request)
    _ = backend.generation
    return backend


def _model(backend: Backend, name: str, policy: ServedPolicy) -> Model:
    return Model(
        id=name,
        created=int(policy.manifest.created.timestamp()),
        root=policy.adapter_name,
        weights=rounded(policy.weights),
        max_model_len=backend.settings.max_prompt_tokens + backend.settings.max_tokens,
    )
