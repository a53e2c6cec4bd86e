"""POST /v1/chat/completions over HTTP."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from service.api.common.route import GeneratingRoute
from service.api.openai.chat.answer_format import ChatFormat
from service.api.openai.chat.protocol import ChatRequest, ChatResponse
from service.api.openai.chat.translate import message_count, to_request
from service.api.openai.common.batch import prepare
from service.api.openai.common.http import STREAM, respond
from service.backend import backend_of
from service.edge.authentication import caller_of
from service.edge.route_scope import needs
from service.errors import GENERATING

router = APIRouter(route_class=GeneratingRoute)


@router.post("/chat/completions", response_model=ChatResponse, responses=GENERATING | STREAM)
@needs("generate")
async def chat_completions(request: Request, body: ChatRequest) -> Response:
    """Answer a conversation, or a question from passages, at once or streamed."""
    backend = backend_of(request)
    pipeline = backend.pipeline
    asked = to_request(body, backend.categories, caller_of(request))
    batch = await prepare(pipeline, body, [asked], ChatFormat(asked.sampling.logprobs), message_count(body))
    return await respond(request, pipeline, batch, ChatResponse, stream=bool(body.stream))
