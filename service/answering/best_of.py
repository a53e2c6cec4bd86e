"""The best of several samples: the reward models judge all of them, and the request's weights decide."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace

from rewards.categories import Category, CategorySpec
from rewards.scores import ScoreRequest, weighted_reward
from service.domain.request import Answer, Choosing, Prepared
from service.domain.scored import Judged
from service.metrics.metrics import Metrics
from service.scoring.queue import Worker

logger = logging.getLogger(__name__)


class Chooser:
    """Chooses among the samples of an answer. The answer waits for it, so it passes by the queue of monitoring."""

    def __init__(
        self, worker: Worker, categories: Mapping[Category, CategorySpec], metrics: Metrics, timeout: float
    ) -> None:
        """`timeout` is the seconds that scoring may take."""
        self._worker = worker
        self._categories = categories
        self._metrics = metrics
        self._timeout = timeout
        self._late: set[asyncio.Task[list[Judged]]] = set()

    async def choose(self, prepared: Prepared, answer: Answer) -> Answer:
        """The answer with the best of its choices, best first; with the first ones when they cannot be scored."""
        passages = prepared.prompt.passages
        samples = answer.choices
        judged = await self._score([ScoreRequest(prepared.question, passages, sample.text) for sample in samples])
        if judged is None:
            return replace(answer, choices=samples[: prepared.keep], choosing=Choosing(len(samples), None))
        # By what was asked for, also where a mixture could not reach it.
        weights = prepared.wanted.as_dict()
        rewards = [weighted_reward(one.scored, weights, self._categories) for one in judged]
        mean = sum(rewards) / len(rewards)
        best = sorted(range(len(samples)), key=lambda i: -rewards[i])[: prepared.keep]
        self._metrics.traffic.best_of_gain.labels(prepared.policy.profile).observe(rewards[best[0]] - mean)
        choices = tuple(
            replace(samples[i], index=place, judged=judged[i], reward=rewards[i]) for place, i in enumerate(best)
        )
        return replace(answer, choices=choices, choosing=Choosing(len(samples), mean))

    async def _score(self, requests: Sequence[ScoreRequest]) -> list[Judged] | None:
        """None when the scores do not come in time or not at all; an answer is never lost for them."""
        scoring = asyncio.create_task(self._worker.score(requests))
        try:
            done, _ = await asyncio.wait((scoring,), timeout=self._timeout)
        except asyncio.CancelledError:
            scoring.cancel()
            raise
        if not done:
            # Left to the worker's own, longer time-out, which replaces a process that hangs.
            self._late.add(scoring)
            scoring.add_done_callback(self._forget)
            logger.warning("the scores of %d samples did not come in %g s", len(requests), self._timeout)
            return None
        try:
            return scoring.result()
        except (TimeoutError, BrokenProcessPool):
            logger.warning("the scoring process ended before it had scored %d samples", len(requests))
        except Exception:  # whatever the models raise must not cost the answer
            logger.exception("%d samples could not be scored", len(requests))
        return None

    def _forget(self, scoring: asyncio.Task[list[Judged]]) -> None:
        self._late.discard(scoring)
        if not scoring.cancelled():
            scoring.exception()  # looked at, so that nobody warns that it was not
