"""The sinks that the settings name, from start to stop."""

import asyncio

from rewards.errors import FgctlError
from service.domain.judged import Judged
from service.domain.scored import ScoredCompletion
from service.metrics.scoring import SinkMetrics
from service.settings import Settings
from service.sinks.delivery import Delivery, Sink, last_chance
from service.sinks.event import ScoredEvent
from service.sinks.langfuse import Langfuse
from service.sinks.webhook import Webhook

_LAST_SECONDS = 5.0
"""Seconds that the queues have to empty when the service stops."""


class Sinks:
    """Every sink gets every scored answer."""

    def __init__(self, settings: Settings, metrics: SinkMetrics) -> None:
        """Raises FgctlError when a sink's settings are incomplete or invalid."""
        self.deliveries = [Delivery(sink, metrics, settings.sink_queue) for sink in _configured(settings)]
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to deliver."""
        self._tasks = [asyncio.create_task(delivery.run()) for delivery in self.deliveries]

    def add(self, judged: Judged, scored: ScoredCompletion) -> None:
        """Queue an answer's scores, without waiting."""
        if self.deliveries:
            event = ScoredEvent.of(judged, scored)
            for delivery in self.deliveries:
                delivery.add(event)

    async def stop(self) -> None:
        """Give every queue a few seconds to empty, then end."""
        if self._tasks:
            await asyncio.gather(*(last_chance(delivery, _LAST_SECONDS) for delivery in self.deliveries))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []


def _configured(settings: Settings) -> list[Sink]:
    sinks: list[Sink] = []
    if settings.webhook_url is not None:
        if settings.webhook_secret is None:
            raise FgctlError(
                "FGCTL_WEBHOOK_URL is set without FGCTL_WEBHOOK_SECRET, which signs what is sent; make one by "
                '`echo "whsec_$(openssl rand -base64 32)"`.'
            )
        secret = settings.webhook_secret.get_secret_value()
        sinks.append(Webhook(str(settings.webhook_url), secret, content=settings.webhook_content))
    if settings.langfuse_url is not None:
        key = settings.langfuse_secret_key
        secret_key = None if key is None else key.get_secret_value()
        sinks.append(Langfuse(str(settings.langfuse_url), settings.langfuse_public_key, secret_key))
    return sinks
