"""Delivery to one sink: a bounded queue, several requests at once, and again after failures for as long as it takes.

A receiver that is away costs nothing until the queue is full, and an event that it never takes holds up no other: it
goes to the end of the queue. A receiver that names a time (`Retry-After`) gets nothing before it. An answer's event
keeps its id, so a receiver that gets it twice, because a reply was lost, can tell.
"""

import asyncio
import logging
import random
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple, Protocol

import httpx

from service.metrics.scoring import SinkMetrics
from service.sinks.event import ScoredEvent

logger = logging.getLogger(__name__)
PAUSES = (0.5, 30.0)
"""Seconds before a failed request is repeated: the first pause, doubled up to the second, and up to a half less."""
TIMEOUT = 15.0
"""Seconds that a receiver may take, as Standard Webhooks advise."""
LONGEST = 600.0
"""Seconds that a receiver can have deliveries wait for; one that asks for more is tried again then."""
AT_ONCE = 8
"""Requests to a receiver at once."""
_LATER = frozenset({408, 425, 429})
"""Statuses below 500 after which the same request may succeed."""


class Message(NamedTuple):
    """What is sent of an event, without what is made anew for each attempt."""

    url: str
    body: bytes


class _Again(NamedTuple):
    """Why an event must be sent again, and how many seconds the receiver has deliveries wait."""

    reason: str
    seconds: float = 0.0


class Sink(Protocol):
    """A kind of receiver."""

    name: str
    """In metrics and logs."""

    def message(self, event: ScoredEvent) -> Message | None:
        """What to send of an event; None for nothing."""

    def headers(self, event: ScoredEvent, message: Message) -> dict[str, str]:
        """The headers of one attempt, such as a signature with the time."""

    def refusal(self, reply: httpx.Response) -> str | None:
        """Why a receiver that replied by 2xx has not taken all of it; None if it has."""


class Delivery:
    """One sink's queue, and the tasks that empty it."""

    def __init__(
        self, sink: Sink, metrics: SinkMetrics, limit: int, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        """At most `limit` events wait; `transport` stands in for the network in tests."""
        self.sink = sink
        self._metrics = metrics
        self._limit = limit
        self._transport = transport
        self._waiting: deque[ScoredEvent] = deque()
        self._in_flight = 0
        self._not_before = 0.0
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._emptied.set()
        metrics.announce(sink.name, lambda: len(self._waiting) + self._in_flight)

    def add(self, event: ScoredEvent) -> None:
        """Queue an event, or drop and count it when the queue is full."""
        if len(self._waiting) + self._in_flight >= self._limit:
            self._metrics.lost.labels(self.sink.name, "queue_full").inc()
            return
        self._waiting.append(event)
        self._filled.set()
        self._emptied.clear()

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with (
            httpx.AsyncClient(timeout=TIMEOUT, transport=self._transport) as client,
            asyncio.TaskGroup() as requests,
        ):
            for _ in range(AT_ONCE):
                requests.create_task(self._run(client))

    async def drained(self) -> None:
        """Wait until every event is delivered, refused or lost."""
        await self._emptied.wait()

    def give_up(self) -> None:
        """Count what was not delivered as lost, because the service stops."""
        left = len(self._waiting) + self._in_flight
        if left:
            logger.error("%d scored answers did not reach %s before the service stopped", left, self.sink.name)
            self._metrics.lost.labels(self.sink.name, "stopped").inc(left)
        self._waiting.clear()

    async def _run(self, client: httpx.AsyncClient) -> None:
        pause = PAUSES[0]
        while True:
            while not self._waiting:
                self._filled.clear()
                await self._filled.wait()
            event = self._waiting.popleft()
            self._in_flight += 1
            if (held := self._not_before - asyncio.get_running_loop().time()) > 0:
                await asyncio.sleep(held)
            again = await self._deliver(client, event)
            if again is None:
                pause = PAUSES[0]
            else:
                self._not_before = max(self._not_before, asyncio.get_running_loop().time() + again.seconds)
                wait = pause * random.uniform(0.5, 1)  # noqa: S311  # so that several senders do not come at once
                logger.warning(
                    "%s did not take %s (%s); next attempt in %.1f s",
                    self.sink.name, event.id, again.reason, max(wait, again.seconds),
                )  # fmt: skip
                await asyncio.sleep(wait)
                pause = min(2 * pause, PAUSES[1])
                self._waiting.append(event)  # behind those that the receiver may take
            self._in_flight -= 1
            if not self._waiting and not self._in_flight:
                self._emptied.set()

    async def _deliver(self, client: httpx.AsyncClient, event: ScoredEvent) -> _Again | None:
        """Send an event. Returns why it must be sent again; None when it is delivered, refused for good or lost."""
        name = self.sink.name
        try:
            message = self.sink.message(event)
            again = None if message is None else await self._attempt(client, event, message)
        except Exception:  # an event that cannot be written or sent must not end delivery for all
            logger.exception("the scores of %s cannot be sent to %s", event.id, name)
            self._metrics.lost.labels(name, "failed").inc()
            return None
        if again is not None:
            self._metrics.failures.labels(name).inc()
        return again

    async def _attempt(self, client: httpx.AsyncClient, event: ScoredEvent, message: Message) -> _Again | None:
        """Send an event once. Returns why it must be sent again; None when it is delivered or refused for good."""
        name = self.sink.name
        headers = {"content-type": "application/json"} | self.sink.headers(event, message)
        try:
            reply = await client.post(message.url, content=message.body, headers=headers)
        except httpx.HTTPError as error:
            return _Again(f"{type(error).__name__} {error}".strip())
        if reply.status_code >= 500 or reply.status_code in _LATER:
            return _Again(f"status {reply.status_code}", asked_to_wait(reply))
        refusal = self.sink.refusal(reply) if reply.is_success else f"status {reply.status_code}: {reply.text[:200]}"
        if refusal is None:
            self._metrics.delivered.labels(name).inc()
        else:
            logger.error("%s refused the scores of %s: %s", name, event.id, refusal)
            self._metrics.lost.labels(name, "refused").inc()
        return None


def asked_to_wait(reply: httpx.Response) -> float:
    """Seconds until the time that a reply's Retry-After names, as a number of seconds or a date; 0 without one."""
    value = reply.headers.get("retry-after", "").strip()
    if value.isdecimal():
        return LONGEST if len(value) > 9 else min(float(value), LONGEST)
    try:
        left = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError):  # TypeError: a date without a time zone
        return 0.0
    return min(max(0.0, left), LONGEST)


async def last_chance(delivery: Delivery, seconds: float) -> None:
    """Give a delivery some seconds to empty its queue; what is left then is lost."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await delivery.drained()
            return
    delivery.give_up()
