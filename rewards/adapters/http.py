"""Reward models behind an HTTP endpoint.

Request, with offsets in code points:

    {"category": str, "responses": [{"question": str, "passages": [{"title": str, "text": str}], "response": str,
                                     "segments": [{"start": int, "end": int, "text": str}]}]}

Reply, with the probability of an error in each segment of each response:

    {"probabilities": [[float]]}
"""

import os
import time
from collections.abc import Sequence
from typing import Any

import httpx
from pydantic import BaseModel, ValidationError

from rewards.categories import Category
from rewards.configuration import Http
from rewards.errors import FgctlError
from rewards.scores import ScoreRequest
from rewards.segmentation import Span

_BATCH = 16
"""Responses in one request."""
_FIRST_PAUSE = 0.5
"""Seconds before the first retry; the pause doubles with each further one."""
_LONGEST_PAUSE = 8.0


class _Reply(BaseModel):
    probabilities: list[list[float]]


class HttpRewards:
    """Posts responses to an endpoint, and retries when it is busy, broken or silent."""

    def __init__(self, category: Category, config: Http, transport: httpx.BaseTransport | None = None) -> None:
        """`transport` replaces the network in tests.

        Raises FgctlError when the environment variable of a header is unset or contains no valid header value.
        """
        self._category = category
        self._url = str(config.url)
        self._retries = config.retries
        self._client = httpx.Client(
            timeout=config.timeout_seconds, headers=_headers(category, config), transport=transport
        )

    def score(self, requests: Sequence[ScoreRequest], segments: Sequence[Sequence[Span]]) -> list[list[float]]:
        """See RewardModel. Raises FgctlError when the endpoint does not reply, or replies with something invalid."""
        pairs = list(zip(requests, segments, strict=True))
        probabilities: list[list[float]] = []
        for first in range(0, len(pairs), _BATCH):
            responses = [_as_json(request, spans) for request, spans in pairs[first : first + _BATCH]]
            reply = self._post({"category": self._category, "responses": responses})
            try:
                probabilities += _Reply.model_validate_json(reply.content).probabilities
            except ValidationError as error:
                raise self._error(
                    f"answered {reply.text[:60]!r} ({error.errors()[0]['msg']})",
                    'it must answer {"probabilities": [[...], ...]}',
                ) from None
        return probabilities

    def _post(self, body: dict[str, Any]) -> httpx.Response:
        """The endpoint's reply, with status 200. Raises FgctlError when there is none after all retries."""
        for attempt in range(self._retries + 1):
            if attempt:
                time.sleep(min(_FIRST_PAUSE * 2 ** (attempt - 1), _LONGEST_PAUSE))
            try:
                reply = self._client.post(self._url, json=body)
            except httpx.TransportError as error:
                happened = f"did not answer ({error or type(error).__name__})"
                continue
            if reply.status_code == 200:
                return reply
            happened = f"answered {reply.status_code}"
            if reply.status_code != 429 and reply.status_code < 500:
                raise self._error(happened, "fix its url or headers")
        raise self._error(f"{happened}, {self._retries + 1} times", "start it, or raise timeout_seconds or retries")

    def _error(self, happened: str, advice: str) -> FgctlError:
        # Leave out the query of the URL: it may contain a key, which must not be logged.
        return FgctlError(f"Category {self._category}: {self._url.partition('?')[0]} {happened}; {advice}.")


def _as_json(request: ScoreRequest, spans: Sequence[Span]) -> dict[str, Any]:
    return {
        "question": request.question,
        "passages": [{"title": p.title, "text": p.text} for p in request.passages],
        "response": request.response,
        "segments": [{"start": a, "end": b, "text": request.response[a:b]} for a, b in spans],
    }


def _headers(category: Category, config: Http) -> dict[str, str]:
    headers = {}
    for header, variable in config.headers.items():
        value = os.environ.get(variable, "").strip()
        if not value or not value.isascii() or not value.isprintable():
            raise FgctlError(f"Category {category}: set {variable} to the value of the header {header}.")
        headers[header] = value
    return headers
