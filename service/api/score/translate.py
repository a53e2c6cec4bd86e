"""POST /score in the service's own terms."""

import json
import uuid

from rewards.dataset import parse_passages
from rewards.scores import ScoreRequest
from service.api.score.protocol import ScoredItem, ScoreItem
from service.domain.judged import ExternalAnswer, TraceLink
from service.domain.scored import ScoredCompletion
from service.errors import InvalidRequest

NOT_JUDGED = "No category can judge this response with what it comes with; send its question and passages."
_REPLIED = frozenset(ScoredItem.model_fields)


def to_answer(item: ScoreItem) -> ExternalAnswer:
    """A response as an answer of another system, under the id that it has or a new one."""
    return ExternalAnswer(
        item.id or f"score_{uuid.uuid4().hex}",
        item.profile,
        item.policy,
        ScoreRequest(item.question, parse_passages(item.passages), item.response),
        TraceLink(item.trace_id, item.span_id) if item.trace_id else None,
    )


def to_sent(item: ScoreItem) -> bytes:
    """The fields that were sent, as a JSON object, without those that a reply has anyway.

    Raises InvalidRequest where further fields hold what JSON cannot.
    """
    # Further fields may be large, so they are not copied, and written once.
    fields = {name: value for name, value in item if name in item.model_fields_set and name not in _REPLIED}
    try:
        return json.dumps(fields, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        message = "A field holds NaN, an infinite number, half of a surrogate pair or too deep a list; leave it out."
        raise InvalidRequest(message, "body") from None


def to_reply(sent: bytes, answer: ExternalAnswer, scored: ScoredCompletion | None) -> bytes:
    """The fields that were sent, with the scores as `fgctl score` adds them, as a JSON object."""
    scores = {"scores": None, "in_domain": None, "notes": [NOT_JUDGED]} if scored is None else scored.scores.as_json()
    added = json.dumps({"id": answer.id} | scores, ensure_ascii=False, allow_nan=False).encode()
    return sent.removesuffix(b"}") + b", " + added.removeprefix(b"{")
