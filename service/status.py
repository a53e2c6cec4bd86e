"""GET /profiles, /livez, /readyz, /metrics."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from service.backend import backend_of
from service.errors import ANY_ROUTE
from service.selection import DEFAULT_PROFILE

router = APIRouter()


_METRICS: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
_NOT_YET: dict[int | str, dict[str, Any]] = {503: {"description": "Not now; `status` says why."}}


@router.get("/profiles", responses=ANY_ROUTE)
async def profiles(request: Request) -> dict[str, Any]:
    """The profiles that can be asked for, with the policy and weights behind each, and those that are broken."""
    roster = backend_of(request).roster
    return {
        "default": DEFAULT_PROFILE,
        "profiles": [policy.as_json() for policy in roster.served.values()],
        "broken": [{"profile": name, "reason": reason} for name, reason in roster.broken.items()],
    }


@router.get("/livez", responses=_NOT_YET)
async def livez(request: Request) -> Response:
    """200 while the process works; 503 when it needs a restart."""
    backend = backend_of(request)
    return JSONResponse({"status": "live" if backend.alive else "dead"}, 200 if backend.alive else 503)


@router.get("/readyz", responses=_NOT_YET)
async def readyz(request: Request) -> Response:
    """200 once every policy is loaded and answers differently from the base; else 503, with the reasons."""
    backend = backend_of(request)
    roster = backend.roster
    status = {
        "status": "ready" if backend.ready else "broken" if roster.broken else "starting",
        "policies": [policy.adapter_name for policy in roster.served.values()],
        "broken": roster.broken,
    }
    if backend.failure is not None:
        status |= {"status": "failed", "reason": backend.failure}
    elif not backend.alive:
        status["status"] = "dead"
    return JSONResponse(status, 200 if backend.ready else 503)


@router.get("/metrics", response_class=Response, responses=ANY_ROUTE | _METRICS)
async def metrics(request: Request) -> Response:
    """Metrics in Prometheus' text format."""
    return Response(backend_of(request).metrics.exposition(), media_type=CONTENT_TYPE_LATEST)
