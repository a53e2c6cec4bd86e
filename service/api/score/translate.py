"""POST /score in the service's own terms."""

import uuid
from typing import Any

from rewards.dataset import parse_passages
from rewards.scores import ScoreRequest
from service.api.score.protocol import ScoreItem
from service.domain.judged import ExternalAnswer, TraceLink
from service.domain.scored import ScoredCompletion

NOT_JUDGED = "No category can judge this response with what it comes with; send its question and passages."


def to_answer(item: ScoreItem) -> ExternalAnswer:
    """A response as an answer of another system, under the id that it has or a new one."""
    return ExternalAnswer(
        item.id or f"score_{uuid.uuid4().hex}",
        item.profile,
        item.policy,
        ScoreRequest(item.question, parse_passages(item.passages), item.response),
        TraceLink(item.trace_id, item.span_id) if item.trace_id else None,
    )


def to_reply(item: ScoreItem, answer: ExternalAnswer, scored: ScoredCompletion | None) -> dict[str, Any]:
    """The fields that were sent, with the scores as `fgctl score` adds them."""
    scores = {"scores": None, "in_domain": None, "notes": [NOT_JUDGED]} if scored is None else scored.scores.as_json()
    return item.model_dump(exclude_unset=True) | {"id": answer.id} | scores
