"""Writes served responses and scores to the store. No reply waits for it: what does not fit is dropped and counted."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import NamedTuple

from rewards.categories import Category
from rewards.dataset import Passage
from rewards.scores import ScoredResponse
from rewards.segmentation import sentences
from service.domain.caller import kept_caller
from service.domain.finished import FinishedCompletion
from service.domain.policy import rounded
from service.domain.scored import ScoredCompletion
from service.feedback.errors import StoreFailed
from service.feedback.records import TURNS, NewResponse, NewScores, StoredPassage
from service.feedback.store.feedback_store import FeedbackStore
from service.metrics.feedback import FeedbackMetrics

logger = logging.getLogger(__name__)
BATCH = 100
"""Responses and scores written in one transaction."""
PAUSES = (0.5, 30.0)
"""Seconds before a failed write is retried: the first pause, doubled up to the second."""


class Versions(NamedTuple):
    """What scores come from."""

    rewards: str
    """Version of the reward models."""
    labels: str | None
    """Version of the label heads, if there are any."""
    error_rates_at_home: Mapping[Category, float] = MappingProxyType({})
    """The share of errors in the feedback that the reward models are calibrated on."""


@dataclass(frozen=True)
class _QueuedScores:
    """Scores that wait to be written."""

    response_id: str
    versions: Versions
    scored: ScoredResponse


_Item = FinishedCompletion | _QueuedScores


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

    def add(self, finished: FinishedCompletion) -> None:
        """Queue a finished completion, and the scores it was chosen by, if any."""
        self._put(finished)
        if finished.completion.scored is not None:
            self.add_scores(finished, finished.completion.scored)

    def add_scores(self, finished: FinishedCompletion, scored: ScoredCompletion) -> None:
        """Queue the scores of a completion."""
        self._put(_QueuedScores(finished.id, self._versions(), scored.scores))

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
    responses = [_new_response(item) for item in batch if isinstance(item, FinishedCompletion)]
    scores = [
        NewScores(
            response_id=item.response_id,
            rewards=item.versions.rewards,
            labels=item.versions.labels,
            scored=item.scored.as_json(),
        )
        for item in batch
        if isinstance(item, _QueuedScores)
    ]
    return responses, scores


def _new_response(finished: FinishedCompletion) -> NewResponse:
    answer, completion = finished.answer, finished.completion
    return NewResponse(
        id=finished.id,
        text=completion.text,
        question=finished.request.question,
        passages=split_passages(finished.request.passages),
        profile=answer.policy.profile,
        policy=answer.policy.version,
        weights=rounded(answer.weights),
        finish_reason=completion.finish_reason,
        caller=kept_caller(finished.caller_id),
        extra=None if finished.turns is None else {TURNS: [dict(turn) for turn in finished.turns]},
    )


def _kind(item: _Item) -> str:
    return "response" if isinstance(item, FinishedCompletion) else "scores"
