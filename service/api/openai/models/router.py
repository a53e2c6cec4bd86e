"""GET /v1/models over HTTP."""

from pathlib import Path

from fastapi import APIRouter, Request

from service.api.common.selection import from_model
from service.api.openai.models.protocol import Model, ModelList
from service.backend import backend_of
from service.domain.policy import ServedPolicy, rounded
from service.edge.authentication import caller_of
from service.edge.route_scope import needs
from service.errors import ANY_ROUTE, error_responses
from service.metrics.traffic import UNKNOWN
from service.settings import Settings

router = APIRouter()

_LISTING = ANY_ROUTE | error_responses(404, 429, 503)


@router.get("/models", responses=_LISTING)
@needs("generate")
async def models(request: Request) -> ModelList:
    """The profiles, as models."""
    backend = backend_of(request)
    policies = backend.resolver.roster.served.values()
    return ModelList(data=[_model(policy.profile, policy, backend.settings) for policy in policies])


@router.get("/models/{model}", responses=_LISTING)
@needs("generate")
async def model(request: Request, model: str) -> Model:
    """A profile, one of its versions, or the policy for weights. One that has to be loaded counts as a request."""
    backend, caller = backend_of(request), caller_of(request)
    admission = backend.admission

    def allow() -> None:
        admission.leave(admission.reserve(caller, UNKNOWN, tokens=0, completions=0))

    policy = await backend.resolver.resolve(from_model(model, backend.categories), "", allow)
    return _model(model, policy, backend.settings)


def _model(name: str, policy: ServedPolicy, settings: Settings) -> Model:
    return Model(
        id=name,
        created=int(policy.manifest.created.timestamp()),
        root=policy.adapter_name,
        parent=Path(policy.manifest.base.name).name,
        weights=rounded(policy.weights),
        max_model_len=settings.divided_freely,
        max_prompt_tokens=settings.max_prompt_tokens,
        max_tokens=settings.max_tokens,
    )
