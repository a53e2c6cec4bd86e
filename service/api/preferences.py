"""GET and DELETE /preferences: what is learned of the caller, and how to begin anew."""

from datetime import datetime

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict

from policies.preferences.arms import REACH
from service.api.common.query import only_known
from service.backend import Backend, backend_of
from service.domain.caller import Caller
from service.domain.policy import rounded
from service.edge.authentication import caller_of
from service.edge.route_scope import needs
from service.errors import ANY_ROUTE, error_responses

router = APIRouter(dependencies=[Depends(only_known)])
_ERRORS = ANY_ROUTE | error_responses(404, 503)


class LearnedProfile(BaseModel):
    """What is learned around one profile; every weight by category."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    profile: str
    around: dict[str, float]
    """The profile's own weights."""
    wanted: dict[str, float]
    """The expected weights: what the caller seems to want."""
    answers_by: dict[str, float]
    """The weights that answer requests for the profile until the caller says more."""


class Preferences(BaseModel):
    """What is learned of a caller."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    learning: bool
    """Whether the caller's key opts in; if not, the rest is empty."""
    thumbs: int
    """Thumbs that count: the latest on each scored answer."""
    comparisons: int
    """Comparisons that count: the latest of each pair of scored answers."""
    since: datetime | None
    """When what was said before was forgotten; null if nothing was."""
    reach: float
    """The most by which a weight is moved away from the profile's."""
    profiles: list[LearnedProfile]


@router.get("/preferences", responses=_ERRORS)
@needs("generate")
async def preferences(request: Request) -> Preferences:
    """Which weights the caller seems to want, by its thumbs and comparisons, and which answer it."""
    return await _preferences(backend_of(request), caller_of(request))


@router.delete("/preferences", responses=_ERRORS)
@needs("generate")
async def forget(request: Request) -> Preferences:
    """Forget what was learned of the caller: its profiles are answered by their own weights again. Feedback stays."""
    backend, caller = backend_of(request), caller_of(request)
    await backend.core.preferences.forget(caller)
    return await _preferences(backend, caller)


async def _preferences(backend: Backend, caller: Caller) -> Preferences:
    opinions, learned = await backend.core.preferences.of(caller, backend.roster)
    return Preferences(
        learning=caller.learns,
        thumbs=len(opinions.thumbs),
        comparisons=len(opinions.choices) + len(opinions.ties),
        since=opinions.since,
        reach=REACH,
        profiles=[
            LearnedProfile(
                profile=weights.profile,
                around=rounded(weights.around),
                wanted=rounded(weights.wanted),
                answers_by=rounded(weights.answers_by),
            )
            for weights in learned
        ],
    )
