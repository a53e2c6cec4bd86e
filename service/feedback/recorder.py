"""Answers and scores on their way to the store. No reply waits for it: what it cannot take, it drops and counts."""

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
from service.domain.finished import FinishedCompletion
from service.domain.policy import rounded
from service.domain.scored import ScoredCompletion
from service.feedback.errors import StoreFailed
from service.feedback.records import Recorded, RecordedScores, StoredPassage
from service.feedback.store.feedback_store import FeedbackStore
from service.metrics.feedback import FeedbackMetrics

logger = logging.getLogger(__name__)
BATCH = 100
"""Answers and scores written in one transaction."""
PAUSES = (0.5, 30.0)
"""Seconds before the store is tried again, the first time and at most."""


class Versions(NamedTuple):
    """What scores are by."""

    rewards: str
    """Version of the reward models."""
    labels: str | None
    """Version of what names errors, where there is one."""


@dataclass(frozen=True)
class _Scored:
    response_id: str
    by: Versions
    scored: ScoredResponse


_Item = FinishedCompletion | _Scored


class Recorder:
    """A bounded queue, and the writer that empties it."""

    def __init__(self, metrics: FeedbackMetrics, limit: int, versions: Callable[[], Versions]) -> None:
        """`limit` answers and scores may wait; `versions` gives those of what scores now."""
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
        """Take a finished completion, with the scores that it was chosen by, if it was."""
        self._put(finished)
        if finished.completion.scored is not None:
            self.add_scores(finished, finished.completion.scored)

    def add_scores(self, finished: FinishedCompletion, scored: ScoredCompletion) -> None:
        """Take the scores of a completion."""
        self._put(_Scored(finished.id, self._versions(), scored.scores))

    def _put(self, item: _Item) -> None:
        if len(self._waiting) >= self._limit:
            self._lose([item], "queue_full")
            return
        self._waiting.append(item)
        self._filled.set()
        self._emptied.clear()

    async def run(self, store: FeedbackStore) -> None:
        """Write until cancelled. While the store fails, what waits keeps waiting."""
        pause = PAUSES[0]
        while True:
            await self._filled.wait()
            batch = list(islice(self._waiting, BATCH))
            try:
                await self._write(store, batch)
            except StoreFailed as error:
                logger.error("answers are not recorded: %s", error)
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
        """Wait until nothing waits."""
        await self._emptied.wait()

    def give_up(self) -> None:
        """Count what still waits as lost: the service stops."""
        if self._waiting:
            logger.error("%d answers and scores were not recorded before the service stopped", len(self._waiting))
        self._lose(list(self._waiting), "stopped")
        self._waiting.clear()

    async def _write(self, store: FeedbackStore, batch: Sequence[_Item]) -> None:
        try:
            responses, scores = await asyncio.to_thread(_records, batch)
            await store.record(responses, scores)
        except StoreFailed:
            raise
        except Exception:  # one answer that cannot be kept must not keep the others out
            if len(batch) > 1:
                for item in batch:
                    await self._write(store, [item])
                return
            logger.exception("an answer or its scores could not be recorded")
            self._lose(batch, "failed")
            return
        for item in batch:
            self._metrics.recorded.labels(_kind(item)).inc()

    def _lose(self, items: Sequence[_Item], reason: str) -> None:
        for item in items:
            self._metrics.lost.labels(_kind(item), reason).inc()


def split(passages: Sequence[Passage]) -> tuple[StoredPassage, ...]:
    """Passages by their sentences."""
    return tuple(
        StoredPassage(title=p.title, text=p.text, sentences=tuple(p.text[a:b] for a, b in sentences(p.text)))
        for p in passages
    )


def _records(batch: Sequence[_Item]) -> tuple[list[Recorded], list[RecordedScores]]:
    responses = [_recorded(item) for item in batch if isinstance(item, FinishedCompletion)]
    scores = [
        RecordedScores(response_id=item.response_id, scored=item.scored.as_json(), **item.by._asdict())
        for item in batch
        if isinstance(item, _Scored)
    ]
    return responses, scores


def _recorded(finished: FinishedCompletion) -> Recorded:
    answer, completion = finished.answer, finished.completion
    return Recorded(
        id=finished.id,
        text=completion.text,
        question=finished.request.question,
        passages=split(finished.request.passages),
        profile=answer.policy.profile,
        policy=answer.policy.version,
        weights=rounded(answer.weights),
        finish_reason=completion.finish_reason,
        caller=kept_caller(finished.caller_id),
    )


def _kind(item: _Item) -> str:
    return "response" if isinstance(item, FinishedCompletion) else "scores"
