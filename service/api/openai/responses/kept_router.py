"""GET and DELETE /v1/responses/{id} over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from service.api.openai.responses.kept import delete_kept, kept_response
from service.api.openai.responses.protocol import DeletedResponse, RetrievedResponse
from service.api.openai.responses.retrieved import retrieved_json
from service.backend import backend_of
from service.edge.authentication import caller_of
from service.edge.route_scope import needs
from service.errors import ANY_ROUTE, InvalidRequest, NotFound, error_responses

router = APIRouter()
_READING = ANY_ROUTE | error_responses(404, 503)


@router.get("/responses/{response_id}", response_model=RetrievedResponse, responses=_READING)
@needs("generate")
async def retrieve(
    request: Request,
    response_id: str,
    stream: Annotated[bool, Query(description="Only false: the events of a response are not kept.")] = False,
) -> Response:
    """A response of the same key, unless its request had `store` false; what is not kept of it is null."""
    if stream:
        raise InvalidRequest("The events of a response are not kept; retrieve it without stream.", "stream")
    kept = await kept_response(backend_of(request), response_id, caller_of(request))
    if kept is None:
        raise _not_found(response_id)
    return JSONResponse(retrieved_json(response_id, kept))


@router.delete("/responses/{response_id}", responses=_READING | error_responses(409))
@needs("generate")
async def delete(request: Request, response_id: str) -> DeletedResponse:
    """Delete a response of the same key, with its conversation and scores. One that has feedback stays: 409."""
    if not await delete_kept(backend_of(request), response_id, caller_of(request)):
        raise _not_found(response_id)
    return DeletedResponse(id=response_id)


def _not_found(response_id: str) -> NotFound:
    """Also for another key's, whose id is nobody else's business."""
    error = NotFound(
        f"Response with id {response_id[:64]!r} not found: it is unknown, another key's, no longer kept, or was "
        "asked for with store false; check the id.",
        "response_id",
    )
    error.details["code"] = "response_not_found"
    return error
