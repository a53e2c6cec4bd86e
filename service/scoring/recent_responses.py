"""Recent completions and their scores, for GET /responses/{id}: bounded, in memory, the oldest go first."""

from collections import OrderedDict
from dataclasses import dataclass, replace

from rewards.dataset import Passage
from rewards.scores import ScoredResponse
from service.domain.answer import Answer, Completion
from service.domain.finished import FinishedCompletion
from service.domain.request import Turn
from service.domain.scored import ScoredCompletion


@dataclass
class RecentResponse:
    """A completion, the answer it is part of, and its scores once it has them."""

    answer: Answer
    """Without its completions."""
    completion: Completion
    scores: ScoredResponse | None = None
    caller_id: str = ""
    turns: tuple[Turn, ...] | None = None
    """The conversation that it answers; None where a later request may not go on from it."""
    passages: tuple[Passage, ...] = ()
    """Those of its prompt, where its conversation is kept."""


class RecentResponses:
    """Completions by id, with the scores that arrive later."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._responses: OrderedDict[str, RecentResponse] = OrderedDict()

    def add(self, finished: FinishedCompletion) -> None:
        """Keep a completion, with the scores that it was chosen by, if it was."""
        scored = finished.completion.scored
        scores = None if scored is None else scored.scores
        # Without what nobody asks for later and what takes the most room: log-probabilities and the other completions.
        answer = replace(finished.answer, completions=())
        completion = replace(finished.completion, logprobs=())
        passages = () if finished.turns is None else finished.request.passages
        self._responses[finished.id] = RecentResponse(
            answer, completion, scores, finished.caller_id, finished.turns, tuple(passages)
        )
        while len(self._responses) > self._limit:
            self._responses.popitem(last=False)

    def set_scores(self, finished: FinishedCompletion, scored: ScoredCompletion) -> None:
        """Add the scores of a completion, if it is still kept."""
        if finished.id in self._responses:
            self._responses[finished.id].scores = scored.scores

    def remove(self, response_id: str) -> None:
        """Keep a completion no longer."""
        self._responses.pop(response_id, None)

    def get(self, response_id: str) -> RecentResponse | None:
        """A completion; None where it is not kept."""
        return self._responses.get(response_id)
