"""The feedback store inside a running service: opened and closed with it, written to beside its replies."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from service.domain.finished import FinishedCompletion
from service.domain.scored import ScoredCompletion
from service.errors import NotFound, Unavailable
from service.feedback.agreement.from_store import measure_agreement
from service.feedback.errors import StoreFailed
from service.feedback.quality.from_store import load_traffic
from service.feedback.quality.report import error_rates
from service.feedback.recorder import Recorder, Versions
from service.feedback.records import Stored, StoredResponse
from service.feedback.store.feedback_store import FeedbackStore, open_store
from service.feedback.store.sampling.draws import WINDOW
from service.metrics.agreement import AgreementMetrics
from service.metrics.error_rates import ErrorRateMetrics
from service.metrics.feedback import FeedbackMetrics
from service.settings import Settings

logger = logging.getLogger(__name__)
STORELESS = "This service keeps no feedback; start it with FGCTL_FEEDBACK_STORE=sqlite:///PATH."
AGREEMENT_EVERY = 600.0
"""Seconds between two updates of the metrics of agreement and of error rates."""
MOST_ANSWERS = 20_000
"""Answers that an estimate of the error rate reads, the latest; reading more would take seconds."""
_PRUNE_EVERY = 3600.0
"""Seconds between two deletions of old responses."""
_SETTLING = 2.0
"""Seconds that feedback on a response may wait for the response to be stored."""
_LAST_WRITES = 5.0
"""Seconds that the recorder has to empty its queue when the service stops."""


class FeedbackRuntime:
    """The feedback store of a service, if its settings name one."""

    def __init__(
        self,
        settings: Settings,
        metrics: FeedbackMetrics,
        agreement_metrics: AgreementMetrics,
        error_rate_metrics: ErrorRateMetrics,
        versions: Callable[[], Versions],
    ) -> None:
        """`versions` gives the versions of the reward models and label heads in use now."""
        self.metrics = metrics
        self._agreement_metrics = agreement_metrics
        self._error_rate_metrics = error_rate_metrics
        self._settings = settings
        self._versions = versions
        self._store: FeedbackStore | None = None
        self._recorder = Recorder(metrics, settings.feedback_queue, versions) if settings.feedback_store else None
        self._tasks: list[asyncio.Task[None]] = []
        self._agreement: asyncio.Task[dict[str, Any]] | None = None

    async def start(self) -> None:
        """Open the store and start recording. Raises FgctlError when it cannot be opened."""
        url = self._settings.feedback_store
        if url is None or self._recorder is None:
            return
        self._store = store = await open_store(url, self._settings.feedback_overlap)
        self._tasks = [
            asyncio.create_task(self._recorder.run(store)),
            asyncio.create_task(self._update_agreement_metrics()),
        ]
        if self._settings.feedback_keep_days is not None:
            keep = timedelta(days=self._settings.feedback_keep_days)
            self._tasks.append(asyncio.create_task(_prune(store, keep)))

    @property
    def store(self) -> FeedbackStore:
        """The open store. Raises NotFound if the service has none, and Unavailable until it is open."""
        if self._settings.feedback_store is None:
            raise NotFound(STORELESS)
        if self._store is None:
            raise Unavailable("The feedback store is not open yet; try again in a few seconds.")
        return self._store

    async def served(self, response_id: str) -> StoredResponse | None:
        """A stored response that this service generated, or None. Raises Unavailable and StoreFailed."""
        if self._recorder is None or not response_id.isprintable():  # PostgreSQL rejects some characters
            return None
        try:
            response = await self.store.response(response_id)
        except NotFound:
            return None
        return response if response.source == "served" else None

    async def agreement(self) -> dict[str, Any]:
        """The agreement report on the store, with what it holds, which also updates the metrics, error rates included.

        Concurrent callers share one computation. Raises like `store`, and StoreFailed.
        """
        store = self.store
        if self._agreement is None or self._agreement.done():
            self._agreement = asyncio.create_task(self._measure_agreement(store))
        return await asyncio.shield(self._agreement)

    async def _measure_agreement(self, store: FeedbackStore) -> dict[str, Any]:
        report = await measure_agreement(store)
        self._agreement_metrics.announce(report)
        self.metrics.show(report["feedback"])
        await self.update_error_rates()
        return report

    async def _update_agreement_metrics(self) -> None:
        while True:
            try:
                await self.agreement()
            except StoreFailed as error:
                logger.error("cannot measure agreement and error rates: %s", error)
            await asyncio.sleep(AGREEMENT_EVERY)

    async def update_error_rates(self) -> None:
        """Estimate the error rates of the last 30 days and show them as metrics. Raises like `store`, and StoreFailed.

        Of busier services only the last MOST_ANSWERS count.
        """
        store = self.store
        since = max(filter(None, (datetime.now(UTC) - WINDOW, await store.start_of_the_last(MOST_ANSWERS))))
        traffic = await load_traffic(store, since)
        now = self._versions()
        report = await asyncio.to_thread(
            error_rates, traffic, rewards=now.rewards or None, at_home=now.error_rates_at_home
        )
        self._error_rate_metrics.show(report)

    def add(self, finished: FinishedCompletion) -> None:
        """Record a finished completion, without waiting."""
        if self._recorder is not None:
            self._recorder.add(finished)

    def add_scores(self, finished: FinishedCompletion, scored: ScoredCompletion) -> None:
        """Record the scores of a completion, without waiting."""
        if self._recorder is not None:
            self._recorder.add_scores(finished, scored)

    async def settled(self) -> bool:
        """Wait up to two seconds until every response recorded so far is in the store. Returns whether it is."""
        if self._recorder is not None and self._store is not None:
            try:
                async with asyncio.timeout(_SETTLING):
                    await self._recorder.drained()
            except TimeoutError:
                return False
        return True

    async def delete_response(self, response_id: str, by: str | None) -> None:
        """Delete a response with its scores from the store, if there is one; `by` is the caller as it is kept.

        Raises HasFeedback, Unavailable while the response may still be on its way to the store, and StoreFailed.
        """
        if self._recorder is None:
            return
        if not await self.settled():
            raise Unavailable("The response may still be on its way to the feedback store; try again in a few seconds.")
        await self.store.delete_response(response_id, by)

    def count(self, kind: str, stored: Stored) -> Stored:
        """Count a submission in the metrics, unless it was stored before."""
        if not stored.again:
            self.metrics.submissions.labels(kind).inc()
        return stored

    async def stop(self) -> None:
        """Give the recorder a few seconds to empty its queue, then close the store."""
        if self._recorder is None or self._store is None:
            return
        try:
            async with asyncio.timeout(_LAST_WRITES):
                await self._recorder.drained()
        except TimeoutError:
            self._recorder.give_up()
        running = [*self._tasks, *([self._agreement] if self._agreement else [])]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self._store.close()
        self._store = None


async def _prune(store: FeedbackStore, keep: timedelta) -> None:
    while True:
        try:
            if deleted := await store.prune(datetime.now(UTC) - keep):
                logger.info("deleted %d responses older than %d days without feedback", deleted, keep.days)
        except StoreFailed as error:
            logger.error("cannot delete old responses: %s", error)
        await asyncio.sleep(_PRUNE_EVERY)
