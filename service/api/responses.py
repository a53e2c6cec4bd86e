"""GET /responses/{id}: a response with its scores, from memory or from the feedback store."""

from typing import Any

from fastapi import APIRouter, Depends, Request

from service.api.common.query import only_known
from service.api.common.reply import completion_json
from service.backend import backend_of
from service.domain.caller import kept_caller
from service.edge.authentication import caller_of
from service.edge.route_scope import needs
from service.errors import ANY_ROUTE, NotFound, error_responses
from service.feedback.records import StoredResponse
from service.scoring.recent_responses import RecentResponse

router = APIRouter(dependencies=[Depends(only_known)])


@router.get("/responses/{response_id}", responses=ANY_ROUTE | error_responses(404, 503))
@needs("generate")
async def response(request: Request, response_id: str) -> dict[str, Any]:
    """An answer with the reward models' scores; `scores` is null until scored, or when it cannot be scored.

    An answer that is no longer in memory comes from the feedback store, where there is one. It then has its question
    and passages, for the key that asked and for keys of scope `feedback`.
    """
    backend = backend_of(request)
    if (recent := backend.recent.get(response_id)) is not None:
        return _recent_json(recent)
    if (stored := await backend.feedback.served(response_id)) is not None:
        caller = caller_of(request)
        return _stored_json(stored, "feedback" in caller.scopes or kept_caller(caller.id) == stored.caller)
    raise NotFound(
        f"There is no response {response_id[:64]!r}; only the latest {backend.settings.recent_responses} are kept.",
        "response_id",
    )


def _recent_json(recent: RecentResponse) -> dict[str, Any]:
    scores = {"scores": None} if recent.scores is None else recent.scores.as_json()
    return completion_json(recent.answer, recent.completion) | scores


def _stored_json(stored: StoredResponse, whole: bool) -> dict[str, Any]:
    """Like one from memory; what the store does not keep is None. `whole` adds the question and the passages."""
    passages = [passage.model_dump(include={"title", "text"}) for passage in stored.passages]
    response = {
        "id": stored.id,
        "profile": stored.profile,
        "policy": {"name": stored.profile, "version": stored.policy},
        "weights": stored.weights,
        "weights_served": None,
        "passages_cut": None,
        "text": stored.text,
        "finish_reason": stored.finish_reason,
        "usage": None,
    }
    asked = {"question": stored.question, "passages": passages} if whole else {}
    return response | asked | (stored.scored or {"scores": None})
