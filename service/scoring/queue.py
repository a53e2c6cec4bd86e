"""The queue between replies and scores. It never delays a reply or makes it fail: it drops what it cannot take."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Protocol

from rewards.categories import BUILT_IN, Category, CategorySpec
from rewards.scorer import judging
from rewards.scores import ScoreRequest
from service.domain.finished import FinishedCompletion
from service.domain.hash_sampling import draw
from service.domain.judged import ExternalAnswer
from service.domain.scored import ScoredCompletion
from service.domain.scoring_share import ScoringShares
from service.metrics.scoring import ScoringMetrics
from service.scoring.backlog import Backlog

logger = logging.getLogger(__name__)
RESTART_PAUSE = 1.0
"""Seconds before the next call after the worker died."""


class Worker(Protocol):
    """What scores: ScoringWorker, or a stand-in in tests."""

    async def score(self, requests: Sequence[ScoreRequest]) -> list[ScoredCompletion]:
        """Score responses."""


OnScores = Callable[[FinishedCompletion, ScoredCompletion], None]
"""Is told of every completion's scores; it must not wait."""
OnExternalScores = Callable[[ExternalAnswer, ScoredCompletion], None]
"""Is told of the scores of another system's answers; it must not wait."""


class ScoringQueue:
    """Scores finished completions in small batches, in the order they finished."""

    def __init__(
        self,
        worker: Worker,
        metrics: ScoringMetrics,
        *,
        queue: int,
        batch: int,
        shares: ScoringShares | None = None,
        categories: Mapping[Category, CategorySpec] = BUILT_IN,
        calls: int = 1,
        on_scores: Sequence[OnScores] = (),
    ) -> None:
        """`queue` completions may wait, `batch` are scored in a call, and `calls` are made at once.

        A completion that none of the `categories` can judge is not scored.

        `on_scores` are told of each completion's scores, in their order.
        """
        self._worker = worker
        self._metrics = metrics
        self._batch = batch
        self._shares = shares or ScoringShares()
        self._categories = categories
        self._calls = calls
        self._on_scores = on_scores
        self._backlog = Backlog(queue)
        metrics.queue_depth.set_function(self._backlog.__len__)
        metrics.queue_capacity.set(queue)

    def submit(self, finished: FinishedCompletion) -> None:
        """Queue a completion, or drop it when it is not in the sample; a full queue drops one.

        Completions that were chosen by their scores are left out: these say as much about the choice as the policy.
        """
        if finished.completion.scored is not None:
            return
        self._metrics.offered.labels(finished.profile).inc()
        if not judging(self._categories, finished.request):
            self._drop([finished], "no_passages")
            return
        share, drawn_at = self._shares.of(finished.profile), draw(finished.id)
        if drawn_at >= share:
            self._drop([finished], "sampled_out")
        elif shed := self._backlog.put(finished, drawn_at / share):
            self._drop([shed], "queue_full")

    async def run(self) -> None:
        """Score until cancelled."""
        async with asyncio.TaskGroup() as calls:
            for _ in range(self._calls):
                calls.create_task(self._run())

    async def _run(self) -> None:
        while True:
            batch = await self._backlog.take(self._batch)
            await self._score(batch)
            self._backlog.done(len(batch))

    async def drained(self) -> None:
        """Wait until every queued completion is scored or dropped."""
        await self._backlog.drained()

    async def _score(self, batch: list[FinishedCompletion]) -> None:
        try:
            scored = await self._worker.score([finished.request for finished in batch])
        except TimeoutError:
            self._drop(batch, "timeout")
        except BrokenProcessPool:
            self._drop(batch, "worker_died")
            await asyncio.sleep(RESTART_PAUSE)
        except Exception:  # an error on one completion must not end scoring for all
            if len(batch) > 1:
                for finished in batch:
                    await self._score([finished])
            else:
                logger.exception("response %s could not be scored", batch[0].id)
                self._drop(batch, "failed")
        else:
            for finished, scores in zip(batch, scored, strict=True):
                self._announce(finished, scores)

    def _announce(self, finished: FinishedCompletion, scored: ScoredCompletion) -> None:
        for listener in self._on_scores:
            listener(finished, scored)
        self._metrics.lag.observe(time.monotonic() - finished.at)
        self._metrics.last_score.set_to_current_time()

    def _drop(self, batch: list[FinishedCompletion], reason: str) -> None:
        for finished in batch:
            self._metrics.dropped.labels(finished.profile, reason).inc()
