"""Recent responses and their scores, for GET /responses/{id}: bounded, in memory, the oldest go first."""

from collections import OrderedDict
from typing import Any

from rewards.scores import ScoredResponse


class RecentResponses:
    """Responses by id, with the scores that arrive later."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._responses: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def add(self, response: dict[str, Any]) -> None:
        """Keep a response under its `id`, not yet scored."""
        self._responses[response["id"]] = response | {"scores": None}
        while len(self._responses) > self._limit:
            self._responses.popitem(last=False)

    def set_scores(self, response_id: str, scored: ScoredResponse) -> None:
        """Add the scores of a response, if it is still kept."""
        if response_id in self._responses:
            self._responses[response_id] |= scored.as_json()

    def get(self, response_id: str) -> dict[str, Any] | None:
        """A kept response; `scores` is None until scored."""
        return self._responses.get(response_id)
