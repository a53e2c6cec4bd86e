"""The feedback store inside a running service: opened with it, written to beside its answers, closed with it."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from rewards.scores import ScoredResponse
from service.domain.request import Answer, Choice, Prepared
from service.errors import NotFound, Unavailable
from service.feedback.agreement.from_store import agreement
from service.feedback.errors import StoreFailed
from service.feedback.recorder import Recorder, Versions
from service.feedback.records import Stored, StoredResponse
from service.feedback.store.feedback_store import FeedbackStore, open_store
from service.metrics.agreement import AgreementMetrics
from service.metrics.feedback import FeedbackMetrics
from service.settings import Settings

logger = logging.getLogger(__name__)
_PRUNE_EVERY = 3600.0
"""Seconds between two looks for answers that were kept long enough."""
STORELESS = "This service keeps no feedback; start it with FGCTL_FEEDBACK_STORE=sqlite:///PATH."
AGREEMENT_EVERY = 600.0
"""Seconds after which the metrics of agreement are brought up to date, whether or not anybody asks."""
_SETTLING = 2.0
"""Seconds that feedback on an answer may wait for the answer to be stored."""
_LAST_WRITES = 5.0
"""Seconds that the store has for what still waits when the service ends."""


class FeedbackRuntime:
    """A service's store, if the settings name one."""

    def __init__(
        self,
        settings: Settings,
        metrics: FeedbackMetrics,
        agreement_metrics: AgreementMetrics,
        versions: Callable[[], Versions],
    ) -> None:
        """`versions` gives those of what scores now."""
        self.metrics = metrics
        self._agreement_metrics = agreement_metrics
        self._settings = settings
        self._store: FeedbackStore | None = None
        self._recorder = Recorder(metrics, settings.feedback_queue, versions) if settings.feedback_store else None
        self._tasks: list[asyncio.Task[None]] = []
        self._agreement: asyncio.Task[dict[str, Any]] | None = None

    async def start(self) -> None:
        """Open the store and begin to write to it. Raises FgctlError when it cannot be opened."""
        url = self._settings.feedback_store
        if url is None or self._recorder is None:
            return
        self._store = store = await open_store(url, self._settings.feedback_overlap)
        self._tasks = [
            asyncio.create_task(self._recorder.run(store)),
            asyncio.create_task(self._show_agreement()),
        ]
        if self._settings.feedback_keep_days is not None:
            keep = timedelta(days=self._settings.feedback_keep_days)
            self._tasks.append(asyncio.create_task(_prune(store, keep)))

    @property
    def store(self) -> FeedbackStore:
        """The open store. Raises NotFound where the service has none, and Unavailable until it is open."""
        if self._settings.feedback_store is None:
            raise NotFound(STORELESS)
        if self._store is None:
            raise Unavailable("The feedback store is not open yet; try again in a few seconds.")
        return self._store

    async def served(self, response_id: str) -> StoredResponse | None:
        """An answer of this service that the store has; None for any other. Raises Unavailable and StoreFailed."""
        if self._recorder is None or not response_id.isprintable():  # PostgreSQL takes not every text
            return None
        try:
            kept = await self.store.response(response_id)
        except NotFound:
            return None
        return kept if kept.source == "served" else None

    async def agreement(self) -> dict[str, Any]:
        """The report of service.feedback.agreement on the store, which the metrics then show too.

        Whoever asks while it is being computed gets the same one. Raises like `store`, and StoreFailed.
        """
        store = self.store
        if self._agreement is None or self._agreement.done():
            self._agreement = asyncio.create_task(self._measure_agreement(store))
        return await asyncio.shield(self._agreement)

    async def _measure_agreement(self, store: FeedbackStore) -> dict[str, Any]:
        report = await agreement(store)
        self._agreement_metrics.announce(report)
        return report

    async def _show_agreement(self) -> None:
        while True:
            try:
                await self.agreement()
            except StoreFailed as error:
                logger.error("agreement is not known: %s", error)
            await asyncio.sleep(AGREEMENT_EVERY)

    def answered(self, prepared: Prepared, answer: Answer, choice: Choice) -> None:
        """Have a finished completion kept, without waiting."""
        if self._recorder is not None:
            self._recorder.answered(prepared, answer, choice)

    def scored(self, response_id: str, scored: ScoredResponse) -> None:
        """Have scores kept, without waiting."""
        if self._recorder is not None:
            self._recorder.scored(response_id, scored)

    async def settled(self) -> None:
        """Wait a moment until the answers given so far are in the store."""
        if self._recorder is not None and self._store is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_SETTLING):
                    await self._recorder.drained()

    def count(self, kind: str, stored: Stored) -> Stored:
        """Count a submission the first time it comes."""
        if not stored.again:
            self.metrics.submissions.labels(kind).inc()
        return stored

    async def stop(self) -> None:
        """Write what still waits, as long as that does not take long, and close the store."""
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
                logger.info("deleted %d answers that nobody judged in %d days", deleted, keep.days)
        except StoreFailed as error:
            logger.error("old answers were not deleted: %s", error)
        await asyncio.sleep(_PRUNE_EVERY)
