"""The scores that a client asks for and waits for: POST /score.

Its responses share the scoring processes with the answers of this service. A large request goes in small batches, one
after another, so that neither other requests nor those answers wait for all of it.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool

from rewards.categories import Category, CategorySpec
from rewards.scorer import judging
from rewards.scores import ScoreRequest
from service.domain.judged import ExternalAnswer
from service.domain.scored import ScoredCompletion
from service.errors import Overloaded, RequestTimedOut, Unavailable
from service.metrics.scoring import ScoringMetrics
from service.scoring.queue import OnExternalScores, Worker

logger = logging.getLogger(__name__)
_RETRY_AFTER = 5
"""Seconds; the advice on when to try again."""


class ScoringOnRequest:
    """Scores responses while their client waits, and announces those that it is told to."""

    def __init__(
        self,
        worker: Worker,
        metrics: ScoringMetrics,
        categories: Mapping[Category, CategorySpec],
        *,
        batch: int,
        calls: int,
        waiting: int,
        timeout: float,
        on_scores: Sequence[OnExternalScores] = (),
    ) -> None:
        """`batch` responses are scored in a call, `calls` are made at once, and `waiting` responses may wait.

        A request may take `timeout` seconds. `on_scores` are told of the answers that are announced.
        """
        self._worker = worker
        self._metrics = metrics
        self._categories = categories
        self._batch = batch
        self._calls = asyncio.Semaphore(calls)
        self._most = waiting
        self._waiting = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._timeout = timeout
        self._on_scores = on_scores

    async def score(self, requests: Sequence[ScoreRequest]) -> list[ScoredCompletion | None]:
        """The scores of each response; None for one that no category can judge with what it comes with.

        Raises Overloaded when too many wait, RequestTimedOut, and Unavailable when the reward models fail.
        """
        judged = [i for i, request in enumerate(requests) if judging(self._categories, request)]
        if self._waiting and self._waiting + len(judged) > self._most:
            self._count("overloaded", judged)
            raise Overloaded(
                f"{self._waiting} responses wait for their scores and {self._most} are allowed; send them again later.",
                "waiting_scores",
                _RETRY_AFTER,
            )
        scored: list[ScoredCompletion | None] = [None] * len(requests)
        self._wait_for(len(judged))
        try:
            async with asyncio.timeout(self._timeout):
                for first in range(0, len(judged), self._batch):
                    batch = judged[first : first + self._batch]
                    for i, scores in zip(batch, await self._call([requests[i] for i in batch]), strict=True):
                        scored[i] = scores
        except TimeoutError:
            self._count("timeout", judged)
            raise RequestTimedOut("The scores take longer than a request may; send fewer responses at once.") from None
        except Unavailable:
            self._count("failed", judged)
            raise
        finally:
            self._wait_for(-len(judged))
        self._count("ok", judged)
        return scored

    def announce(self, answer: ExternalAnswer, scored: ScoredCompletion) -> None:
        """Tell the listeners of the scores of an answer of another system."""
        for listener in self._on_scores:
            listener(answer, scored)

    async def drained(self) -> None:
        """Wait until no response waits for its scores."""
        await self._idle.wait()

    def _wait_for(self, more: int) -> None:
        self._waiting += more
        if self._waiting:
            self._idle.clear()
        else:
            self._idle.set()

    async def _call(self, batch: Sequence[ScoreRequest]) -> list[ScoredCompletion]:
        async with self._calls:
            try:
                return await self._worker.score(batch)
            except BrokenProcessPool:
                raise Unavailable("The scoring process ended; send the responses again in a few seconds.") from None
            except TimeoutError:
                raise
            except Exception as error:  # whatever the models raise, a client gets a sentence
                logger.exception("responses sent to be scored could not be")
                raise Unavailable("A reward model failed on these responses; the service's log says why.") from error

    def _count(self, outcome: str, judged: Sequence[int]) -> None:
        self._metrics.on_request.labels(outcome).inc(len(judged))
