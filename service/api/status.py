"""GET /profiles, /livez, /readyz, /health, /version, /metrics."""

from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from service.api.common.profiles import profiles_json
from service.api.common.query import only_known
from service.backend import backend_of
from service.edge.route_scope import needs
from service.errors import ANY_ROUTE
from service.metrics.versions import build

router = APIRouter()
"""Machines that probe and scrape may send parameters to any path, so only what clients ask for refuses them."""

_METRICS: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
_NOT_YET: dict[int | str, dict[str, Any]] = {503: {"description": "Not now; `status` says why."}}


@router.get("/profiles", responses=ANY_ROUTE, dependencies=[Depends(only_known)])
@needs("generate")
async def profiles(request: Request) -> dict[str, Any]:
    """The profiles that can be asked for, with the policy and weights behind each, and what cannot be served."""
    return profiles_json(backend_of(request).roster)


@router.get("/livez", responses=_NOT_YET)
@needs(None)
async def livez(request: Request) -> Response:
    """200 while the process works; 503 when it needs a restart."""
    backend = backend_of(request)
    return JSONResponse({"status": "live" if backend.alive else "dead"}, 200 if backend.alive else 503)


@router.get("/readyz", responses=_NOT_YET)
@needs(None)
async def readyz(request: Request) -> Response:
    """200 once the engine works and every profile's policy answers as itself; else 503, with the reasons."""
    backend = backend_of(request)
    roster = backend.roster
    status = {
        "status": backend.status,
        "policies": [policy.adapter_name for policy in roster.policies()],
        "broken": roster.broken,
        "refused": roster.refused,
    }
    if backend.failure is not None:
        status["reason"] = backend.failure
    return JSONResponse(status, 200 if backend.ready else 503)


@router.get("/health", response_class=Response, responses=_NOT_YET)
@needs(None)
async def health(request: Request) -> Response:
    """200 while the engine answers, without a body, as vLLM has it; else 503."""
    return Response(status_code=200 if backend_of(request).engine_up else 503)


@router.get("/version", responses=ANY_ROUTE, dependencies=[Depends(only_known)])
@needs("generate")
async def version() -> dict[str, str]:
    """The versions of fgctl, of vLLM and of Python."""
    return build()


@router.get("/metrics", response_class=Response, responses=ANY_ROUTE | _METRICS)
@needs("metrics")
async def metrics(request: Request) -> Response:
    """Metrics in Prometheus' text format, or in OpenMetrics, which has exemplars, for who accepts it."""
    content, content_type = backend_of(request).metrics.exposition(request.headers.get("accept", ""))
    return Response(content, media_type=content_type)
