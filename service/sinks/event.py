"""A scored answer as sinks see it."""

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from rewards.scores import ScoredResponse, ScoreRequest
from service.domain.judged import Judged, TraceLink
from service.domain.scored import ScoredCompletion, Verdict, verdicts


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class ScoredEvent:
    """An answer and its scores. Its id and time stay the same however often it is sent."""

    id: str
    profile: str
    version: str
    request: ScoreRequest
    scores: ScoredResponse
    trace: TraceLink | None = None
    at: datetime = field(default_factory=_now)
    """When it was scored."""

    @classmethod
    def of(cls, judged: Judged, scored: ScoredCompletion) -> "ScoredEvent":
        """The event that an answer has its scores."""
        return cls(judged.id, judged.profile, judged.version_label, judged.request, scored.scores, judged.trace)

    @property
    def trace_id(self) -> str:
        """The trace's id, 32 hexadecimal digits; where there is none, one that depends on the answer's id alone.

        It is the beginning of the id's SHA-256, as Langfuse's clients make trace ids from other ids.
        """
        return self.trace.trace_id if self.trace else hashlib.sha256(self.id.encode()).hexdigest()[:32]

    @property
    def verdicts(self) -> list[Verdict]:
        """What each category says."""
        return verdicts(self.scores)

    def as_json(self, content: bool) -> dict[str, Any]:
        """For a webhook; `content` adds the question, the passages and the answer's text."""
        request = self.request
        texts = {
            "question": request.question,
            "passages": [{"title": passage.title, "text": passage.text} for passage in request.passages],
            "response": request.response,
        }
        return {
            "id": self.id,
            "profile": self.profile,
            "policy": self.version,
            "trace_id": self.trace_id,
            "span_id": self.trace.span_id if self.trace else None,
            **self.scores.as_json(),
            "verdicts": {
                verdict.category: {"score": round(verdict.score, 4), "label": verdict.label}
                for verdict in self.verdicts
            },
            **(texts if content else {}),
        }
