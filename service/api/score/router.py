"""POST /score over HTTP."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Body, Depends, Query, Request
from fastapi.responses import Response

from policies.mixing import MIXTURE
from policies.names import SFT
from service.api.common.query import only_known
from service.api.common.route import ScoringRoute
from service.api.score.protocol import ScoreBody, ScoredItem, ScoreItem
from service.api.score.translate import to_answer, to_reply, to_sent
from service.backend import Backend, backend_of
from service.edge.authentication import caller_of
from service.edge.client_disconnect import CLIENT_CLOSED, unless_disconnected
from service.edge.route_scope import needs
from service.errors import WITH_BODY, InvalidRequest, error_responses
from service.metrics.metrics import OTHER
from service.metrics.traffic import UNKNOWN

router = APIRouter(route_class=ScoringRoute, dependencies=[Depends(only_known)])
RecordQuery = Annotated[
    bool, Query(description="Count the scores in the metrics and send them to sinks and traces, as those of answers.")
]


@router.post("/score", response_model=ScoredItem | list[ScoredItem], responses=WITH_BODY | error_responses(429, 503))
@needs("score")
async def score(request: Request, body: Annotated[ScoreBody, Body()], record: RecordQuery = False) -> Response:
    """Judge one response or several that any system gave, by the reward models that judge the answers of this service.

    The reply is what was sent with the scores, in the same order.
    """
    backend = backend_of(request)
    items = body if isinstance(body, list) else [body]
    _check(items, backend, record)
    sent = [to_sent(item) for item in items]
    answers = [to_answer(item) for item in items]
    on_request = backend.core.on_request
    await backend.pipeline.admit(caller_of(request))
    scored = await unless_disconnected(request, on_request.score([answer.request for answer in answers]))
    if scored is None:
        return Response(status_code=CLIENT_CLOSED)
    if record:
        for answer, scores in zip(answers, scored, strict=True):
            if scores is not None:
                on_request.announce(answer, scores)
    replies = [to_reply(*parts) for parts in zip(sent, answers, scored, strict=True)]
    content = b"[" + b",".join(replies) + b"]" if isinstance(body, list) else replies[0]
    return Response(content, media_type="application/json")


def _check(items: Sequence[ScoreItem], backend: Backend, record: bool) -> None:
    """Raises InvalidRequest for too many responses, and for a name that is taken."""
    if len(items) > backend.settings.score_items:
        message = f"There are {len(items)} responses; send at most {backend.settings.score_items} at once."
        raise InvalidRequest(message, "body")
    taken = {*backend.roster.served, SFT, MIXTURE, UNKNOWN, OTHER}
    if record and (name := next((item.profile for item in items if item.profile in taken), None)):
        message = f"The answers of {name} are counted by this service itself; choose another name for the profile."
        raise InvalidRequest(message, "profile")
