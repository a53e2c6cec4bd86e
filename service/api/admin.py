"""POST /admin/reload."""

from typing import Any

from fastapi import APIRouter, Depends, Request

from service.api.common.profiles import profiles_json
from service.api.common.query import only_known
from service.backend import backend_of
from service.edge.route_scope import needs
from service.errors import ANY_ROUTE, error_responses

router = APIRouter(prefix="/admin", dependencies=[Depends(only_known)])


@router.post("/reload", responses=ANY_ROUTE | error_responses(503))
@needs("admin")
async def reload(request: Request) -> dict[str, Any]:
    """Read the policy store and the reward models again: load and check what is new, then switch to it.

    The reply lists what is served now, and what was refused and why; its older version stays.
    """
    backend = backend_of(request)
    await backend.reload()
    return profiles_json(backend.roster)
