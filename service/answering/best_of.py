"""The best of several samples: the reward models score all of them, and the request's weights decide."""

import asyncio
import logging
from collections.abc import Mapping, Sequence, Sized
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace

from policies.weights import Weights
from rewards.categories import Category, CategorySpec
from rewards.scores import ScoreRequest, weighted_reward
from service.answering.prepared import Prepared
from service.domain.answer import Answer, BestOf
from service.domain.scored import ScoredCompletion
from service.errors import InvalidRequest
from service.metrics.traffic import TrafficMetrics
from service.scoring.queue import Worker

logger = logging.getLogger(__name__)


class BestOfChooser:
    """Chooses among the samples of an answer. The answer waits for it, so it bypasses the scoring queue."""

    def __init__(
        self, worker: Worker, categories: Mapping[Category, CategorySpec], metrics: TrafficMetrics, timeout: float
    ) -> None:
        """`timeout` is the seconds that scoring may take."""
        self._worker = worker
        self._categories = categories
        self._metrics = metrics
        self._timeout = timeout
        self._late: set[asyncio.Task[list[ScoredCompletion]]] = set()

    def check(self, weights: Weights, question: str, passages: Sized) -> None:
        """Raises InvalidRequest unless a category that the weights count can judge answers to this request."""
        counted = {name: spec for name, spec in self._categories.items() if weights[name] > 0}
        if any(spec.can_judge(question, passages) for spec in counted.values()):
            return
        lacking = "question" if any(spec.needs == "question" for spec in counted.values()) else "question with passages"
        raise InvalidRequest(
            f"best_of would choose by {', '.join(counted)}, which can only judge an answer to a {lacking}; send one, "
            f"weigh a category that can judge any answer, or leave out best_of.",
            "best_of",
        )

    async def choose(self, prepared: Prepared, answer: Answer) -> Answer:
        """The answer with its best completions, best first; with the first ones when they cannot be scored."""
        passages, samples = prepared.prompt.passages, answer.completions
        scored = await self._score([ScoreRequest(prepared.question, passages, sample.text) for sample in samples])
        if scored is None:
            return replace(answer, completions=samples[: prepared.returned], best_of=BestOf(len(samples), None))
        # By the weights asked for, even where a mixture could not reach them.
        weights = prepared.weights.as_dict()
        rewards = [weighted_reward(completion.scores, weights, self._categories) for completion in scored]
        mean = sum(rewards) / len(rewards)
        best = sorted(range(len(samples)), key=lambda i: -rewards[i])[: prepared.returned]
        self._metrics.best_of_gain.labels(prepared.policy.profile).observe(rewards[best[0]] - mean)
        completions = tuple(
            replace(samples[i], index=index, scored=scored[i], reward=rewards[i]) for index, i in enumerate(best)
        )
        return replace(answer, completions=completions, best_of=BestOf(len(samples), mean))

    async def _score(self, requests: Sequence[ScoreRequest]) -> list[ScoredCompletion] | None:
        """The samples' scores; None when they do not come in time or at all, which never costs the answer."""
        scoring = asyncio.create_task(self._worker.score(requests))
        try:
            done, _ = await asyncio.wait((scoring,), timeout=self._timeout)
        except asyncio.CancelledError:
            scoring.cancel()
            raise
        if not done:
            # The worker's own, longer time-out replaces a process that hangs.
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

    def _forget(self, scoring: asyncio.Task[list[ScoredCompletion]]) -> None:
        self._late.discard(scoring)
        if not scoring.cancelled():
            scoring.exception()  # retrieved, so that asyncio does not warn that it never was
