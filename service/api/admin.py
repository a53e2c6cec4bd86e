"""POST /admin/reload."""

from typing import Any

from fastapi import APIRouter, Depends, Request

from rewards.errors import FgctlError
from service.api.common.profiles import profiles_json
from service.api.common.query import only_known
from service.backend import backend_of
from service.edge.route_scope import needs
from service.errors import ANY_ROUTE, Unavailable, error_responses

router = APIRouter(prefix="/admin", dependencies=[Depends(only_known)])


@router.post("/reload", responses=ANY_ROUTE | error_responses(503))
@needs("admin")
async def reload(request: Request) -> dict[str, Any]:
    """Read the policy store again: load and check what was promoted, then switch to it.

    The reply lists what is served now, and what was refused and why; its older version stays.
    """
    backend = backend_of(request)
    try:
        await backend.reload()
    except FgctlError as error:
        raise Unavailable(f"Nothing was changed: {error}") from None
    return profiles_json(backend.roster)
