"""The queue between replies and scores. It never delays or fails a reply: what it cannot take, it drops and counts."""

import asyncio
import logging
import time
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import Protocol

from rewards.scores import ScoredResponse, ScoreRequest
from service.draws import drawn
from service.metrics import Metrics
from service.scoring.recent import RecentResponses

logger = logging.getLogger(__name__)
RESTART_PAUSE = 1.0
"""Seconds before the next call after the worker died."""


class Worker(Protocol):
    """What scores: ScoringWorker, or a stand-in in tests."""

    async def score(self, requests: Sequence[ScoreRequest]) -> list[ScoredResponse]:
        """Score responses."""


@dataclass(frozen=True)
class Finished:
    """A finished response to score."""

    id: str
    profile: str
    version: str
    request: ScoreRequest
    at: float = field(default_factory=time.monotonic)


class ScoringQueue:
    """Scores finished responses in small batches, in the order they finished."""

    def __init__(
        self,
        worker: Worker,
        metrics: Metrics,
        recent: RecentResponses,
        *,
        queue: int,
        batch: int,
        share: float = 1.0,
    ) -> None:
        """`queue` responses may wait, `batch` are scored in a call, and a `share` of all is scored at all."""
        self._worker = worker
        self._metrics = metrics
        self._recent = recent
        self._batch = batch
        self._share = share
        self._queue: asyncio.Queue[Finished] = asyncio.Queue(queue)
        metrics.queue_depth.set_function(self._queue.qsize)

    def submit(self, finished: Finished) -> None:
        """Queue a response, or drop it when it is not in the sample or the queue is full."""
        if not finished.request.passages:
            # Factuality is judged against passages; without any, every sentence would count as unverifiable.
            self._drop([finished], "no_passages")
            return
        if not drawn(finished.id, self._share):
            self._drop([finished], "sampled_out")
            return
        try:
            self._queue.put_nowait(finished)
        except asyncio.QueueFull:
            self._drop([finished], "queue_full")

    async def run(self) -> None:
        """Score until cancelled."""
        while True:
            batch = [await self._queue.get()]
            while len(batch) < self._batch and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            await self._score(batch)
            for _ in batch:
                self._queue.task_done()

    async def drained(self) -> None:
        """Wait until every response that was queued is scored or dropped."""
        await self._queue.join()

    async def _score(self, batch: list[Finished]) -> None:
        try:
            scored = await self._worker.score([finished.request for finished in batch])
        except TimeoutError:
            self._drop(batch, "timeout")
        except BrokenProcessPool:
            self._drop(batch, "worker_died")
            await asyncio.sleep(RESTART_PAUSE)
        except Exception:  # whatever the models raise on one response must not end scoring for all
            if len(batch) > 1:
                for finished in batch:
                    await self._score([finished])
            else:
                logger.exception("response %s could not be scored", batch[0].id)
                self._drop(batch, "failed")
        else:
            for finished, judged in zip(batch, scored, strict=True):
                self.record(finished, judged)

    def record(self, finished: Finished, scored: ScoredResponse) -> None:
        """Count the scores of a response and keep them with it, once."""
        self._recent.set_scores(finished.id, scored)
        self._metrics.count_scores(finished.profile, finished.version, scored)
        self._metrics.scoring_lag.observe(time.monotonic() - finished.at)
        self._metrics.last_score.set_to_current_time()

    def _drop(self, batch: list[Finished], reason: str) -> None:
        for finished in batch:
            self._metrics.dropped.labels(finished.profile, reason).inc()
