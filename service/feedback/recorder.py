"""Writes served responses and scores to the store. No reply waits for it: what does not fit is dropped and counted."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from rewards.dataset import Passage
from rewards.scores import ScoredResponse
from rewards.segmentation import sentences
from service.domain.caller import kept_caller
from service.domain.request import Answer, Choice, Prepared, choice_id
from service.feedback.errors import StoreFailed
from service.feedback.records import NewResponse, NewScores, StoredPassage
from service.feedback.store.feedback_store import FeedbackStore
from service.metrics.feedback import FeedbackMetrics
from service.served.roster import rounded

logger = logging.getLogger(__name__)
BATCH = 100
"""Responses and scores written in one transaction."""
PAUSES = (0.5, 30.0)
"""Seconds before a failed write is retried: the first pause, doubled up to the second."""


@dataclass(frozen=True)
class _QueuedResponse:
    """A completion that waits to be written."""

    answer: Answer
    completion: Choice
    question: str
    passages: tuple[Passage, ...]
    caller: str | None


class Versions(NamedTuple):
    """What scores come from."""

    rewards: str
    """Version of the reward models."""
    labels: str | None
    """Version of the label heads, if there are any."""


@dataclass(frozen=True)
class _QueuedScores:
    """Scores that wait to be written."""

    response_id: str
    versions: Versions
    scored: ScoredResponse


_Item = _QueuedResponse | _QueuedScores


class Recorder:
    """A bounded queue, and the writer that empties it."""

    def __init__(self, metrics: FeedbackMetrics, limit: int, versions: Callable[[], Versions]) -> None:
        """At most `limit` responses and scores wait; `versions` gives the versions in use now."""
        self._metrics = metrics
        self._limit = limit
        self._versions = versions
        self._waiting: deque[_Item] = deque()
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._emptied.set()
        metrics.queue_depth.set_function(self._waiting.__len__)
        metrics.announce()

    def answered(self, prepared: Prepared, answer: Answer, choice: Choice) -> None:
        """Queue a finished completion, and the scores it was chosen by, if any."""
        caller = kept_caller(prepared.place.caller_id)
        self._put(_QueuedResponse(answer, choice, prepared.question, prepared.prompt.passages, caller))
        if choice.judged is not None:
            self.scored(choice_id(answer.id, choice.index), choice.judged.scored)

    def scored(self, response_id: str, scored: ScoredResponse) -> None:
        """Queue the scores of a completion."""
        self._put(_QueuedScores(response_id, self._versions(), scored))

    def _put(self, item: _Item) -> None:
        if len(self._waiting) >= self._limit:
            self._count_lost([item], "queue_full")
            return
        self._waiting.append(item)
        self._filled.set()
        self._emptied.clear()

    async def run(self, store: FeedbackStore) -> None:
        """Write until cancelled. While the store fails, items stay in the queue."""
        pause = PAUSES[0]
        while True:
            await self._filled.wait()
            batch = list(islice(self._waiting, BATCH))
            try:
                await self._write(store, batch)
            except StoreFailed as error:
                logger.error("cannot record responses, will retry: %s", error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, PAUSES[1])
                continue
            pause = PAUSES[0]
            for _ in batch:
                self._waiting.popleft()
            if not self._waiting:
                self._filled.clear()
                self._emptied.set()

    async def drained(self) -> None:
        """Wait until the queue is empty."""
        await self._emptied.wait()

    def give_up(self) -> None:
        """Drop the queue and count it as lost, because the service stops."""
        if self._waiting:
            logger.error("%d responses and scores were not recorded before the service stopped", len(self._waiting))
        self._count_lost(list(self._waiting), "stopped")
        self._waiting.clear()

    async def _write(self, store: FeedbackStore, batch: Sequence[_Item]) -> None:
        try:
            responses, scores = await asyncio.to_thread(_records, batch)
            await store.record(responses, scores)
        except StoreFailed:
            raise
        except Exception:  # an item that cannot be stored must not keep out the rest of its batch
            if len(batch) > 1:
                for item in batch:
                    await self._write(store, [item])
                return
            logger.exception("cannot record a response or its scores")
            self._count_lost(batch, "failed")
            return
        for item in batch:
            self._metrics.recorded.labels(_kind(item)).inc()

    def _count_lost(self, items: Sequence[_Item], reason: str) -> None:
        for item in items:
            self._metrics.lost.labels(_kind(item), reason).inc()


def split_passages(passages: Sequence[Passage]) -> tuple[StoredPassage, ...]:
    """Passages with their sentences."""
    return tuple(
        StoredPassage(title=p.title, text=p.text, sentences=tuple(p.text[a:b] for a, b in sentences(p.text)))
        for p in passages
    )


def _records(batch: Sequence[_Item]) -> tuple[list[NewResponse], list[NewScores]]:
    responses = [_new_response(item) for item in batch if isinstance(item, _QueuedResponse)]
    scores = [
        NewScores(response_id=item.response_id, scored=item.scored.as_json(), **item.versions._asdict())
        for item in batch
        if isinstance(item, _QueuedScores)
    ]
    return responses, scores


def _new_response(item: _QueuedResponse) -> NewResponse:
    answer, completion = item.answer, item.completion
    return NewResponse(
        id=choice_id(answer.id, completion.index),
        text=completion.text,
        question=item.question,
        passages=split_passages(item.passages),
        profile=answer.policy.profile,
        policy=answer.policy.version,
        weights=rounded(answer.wanted),
        finish_reason=completion.finish_reason,
        caller=item.caller,
    )


def _kind(item: _Item) -> str:
    return "response" if isinstance(item, _QueuedResponse) else "scores"
