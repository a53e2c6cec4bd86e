"""POST /v1/completions over HTTP."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from service.api.common.route import GeneratingRoute
from service.api.openai.common.batch import prepare
from service.api.openai.common.http import STREAM, respond
from service.api.openai.completions.answer_format import CompletionFormat
from service.api.openai.completions.protocol import CompletionRequest, CompletionResponse
from service.api.openai.completions.translate import to_requests
from service.backend import backend_of
from service.edge.authentication import caller_of
from service.edge.route_scope import needs
from service.errors import GENERATING

router = APIRouter(route_class=GeneratingRoute)


@router.post("/completions", response_model=CompletionResponse, responses=GENERATING | STREAM)
@needs("generate")
async def completions(request: Request, body: CompletionRequest) -> Response:
    """Continue one prompt or several, at once or streamed."""
    backend = backend_of(request)
    pipeline = backend.pipeline
    requests = to_requests(body, backend.categories, backend.settings.max_prompts, caller_of(request))
    batch = await prepare(pipeline, body, requests, CompletionFormat(body.logprobs))
    return await respond(request, pipeline, batch, CompletionResponse, stream=bool(body.stream))
