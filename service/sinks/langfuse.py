"""Langfuse: the verdict of each category as a score of the answer's trace (POST /api/public/scores)."""

import base64
import json
from typing import Any

import httpx

from rewards.errors import FgctlError
from service.domain.scored import Verdict
from service.sinks.delivery import Message
from service.sinks.event import ScoredEvent


class Langfuse:
    """One project of a Langfuse server."""

    name = "langfuse"

    def __init__(self, url: str, public_key: str | None, secret_key: str | None) -> None:
        """`url` is the server's; the keys are the project's. Raises FgctlError without them."""
        if not public_key or not secret_key:
            raise FgctlError(
                "Scores cannot be sent to Langfuse without keys; set LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY to "
                "those of the project."
            )
        self._url = f"{url.rstrip('/')}/api/public/scores"
        self._authorization = "Basic " + base64.b64encode(f"{public_key}:{secret_key}".encode()).decode()

    def message(self, event: ScoredEvent) -> Message | None:
        """A list with a score of each category; nothing where no category judged anything.

        With the same id and time a score that comes twice is one.
        """
        scores = [self._score(event, verdict) for verdict in event.verdicts]
        return Message(self._url, json.dumps(scores).encode()) if scores else None

    def headers(self, event: ScoredEvent, message: Message) -> dict[str, str]:
        """The project's keys."""
        return {"authorization": self._authorization}

    def refusal(self, reply: httpx.Response) -> str | None:
        """Status 207 says how many scores were rejected and why. It must not be repeated."""
        if reply.status_code != 207:
            return None
        try:
            results = reply.json()
            rejected = int(results["rejected"])
        except (ValueError, KeyError, TypeError):
            return f"status 207: {reply.text[:200]}"
        return f"{rejected} scores rejected: {results.get('errors')}"[:400] if rejected else None

    @staticmethod
    def _score(event: ScoredEvent, verdict: Verdict) -> dict[str, Any]:
        observation = {"observationId": event.trace.span_id} if event.trace and event.trace.span_id else {}
        return {
            "id": f"{event.id}-{verdict.category}",
            "traceId": event.trace_id,
            **observation,
            "name": verdict.category,
            "value": round(verdict.score, 4),
            "dataType": "NUMERIC",
            "comment": verdict.explanation,
            "timestamp": event.at.isoformat(),
            "metadata": {
                "response_id": event.id,
                "profile": event.profile,
                "policy": event.version,
                "label": verdict.label,
                "in_domain": event.scores.in_domain,
            },
        }
