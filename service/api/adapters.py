"""GET /policies/{profile}/{version}/{file}: an adapter, for engines elsewhere that find adapters by name."""

from typing import Literal

from fastapi import APIRouter, Depends, Request
from fastapi.responses import FileResponse

from service.api.common.query import only_known
from service.backend import backend_of
from service.edge.route_scope import needs
from service.errors import ANY_ROUTE, NotFound, error_responses

router = APIRouter(dependencies=[Depends(only_known)])


@router.get(
    "/policies/{profile}/{version}/{file}",
    response_class=FileResponse,
    responses=ANY_ROUTE | error_responses(404, 503) | {200: {"content": {"application/octet-stream": {}}}},
)
@needs("admin")
async def adapter(
    request: Request, profile: str, version: str, file: Literal["adapter_model.safetensors", "adapter_config.json"]
) -> FileResponse:
    """A file of a stored version, or of a mixture that this replica has made (profile `mixture`)."""
    directory = await backend_of(request).resolver.directory(profile, version)
    if not (directory / file).is_file():
        raise NotFound(f"{profile[:64]}@{version[:64]} has no {file}; push the version again.", "file")
    return FileResponse(directory / file, media_type="application/octet-stream")
