"""Admission control: which requests may use the engine now, which wait, and which are refused.

At most `places` completions are in the engine. Further requests wait in a fair queue (`fair_queue.py`), which is
bounded in requests and tokens. Each caller has limits too (`caller_limits.py`). Nothing polls: a request that leaves
lets the next one in.
"""

import asyncio
import math
import time
from collections.abc import Callable
from enum import Enum

from service.admission.caller_limits import CallerLimits
from service.admission.fair_queue import FairQueue
from service.domain.caller import Caller, Limits
from service.errors import Overloaded, RateLimited
from service.metrics.metrics import Metrics
from service.settings import Settings

_MAX_RETRY_AFTER = 120
"""Seconds; the longest advice on when to try again."""
_FIRST_RETRY_AFTER = 5
"""Seconds; the advice before any request was answered."""
_SMOOTHING = 0.1
"""Weight of the latest request in the moving averages."""


class PlaceState(Enum):
    """The state of a request's place."""

    WAITING = "waiting"
    RUNNING = "running"
    LEFT = "left"


class Place:
    """A request's place: first in the queue, then in the engine, until it leaves."""

    def __init__(self, caller_id: str, profile: str, tokens: int, completions: int, timeouts: tuple[float, float]):
        self.caller_id = caller_id
        self.profile = profile
        self.tokens = tokens
        """Tokens of the prompt and the most that may be written."""
        self.completions = completions
        self.contended = (False, False)
        self.state = PlaceState.WAITING
        self.reserved_at = now = asyncio.get_running_loop().time()
        self.granted_at = now
        self.queue_deadline, self.deadline = (now + seconds for seconds in timeouts)
        """Until when it may wait, and until when it may be answered, by the event loop's clock."""
        self.granted: asyncio.Future[None] | None = None
        """Resolved when the request may use the engine; None until `turn` waits for it."""


class Admission:
    """One engine's places, and the requests that wait for them."""

    def __init__(self, settings: Settings, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` measures the callers' rates, in seconds."""
        self._settings = settings
        # An eighth more than the engine decodes at once: the engine replaces a finished sequence from its own queue in
        # the next step, while a request from this queue would arrive a step late.
        self.places = settings.max_num_seqs + max(1, settings.max_num_seqs // 8)
        """The most completions in the engine."""
        self._free = self.places
        self._queue: FairQueue[Place] = FairQueue()
        self._limits = CallerLimits(
            Limits(settings.caller_concurrency, settings.caller_requests_per_minute, settings.caller_tokens_per_minute),
            clock,
        )
        self._metrics = metrics
        self._stopping = self._dismissed = False
        self._in_service = 0
        """Requests that wait or run."""
        self._empty = asyncio.Event()
        self._empty.set()
        self._speed: float | None = None
        """Average tokens per second and place, counting the reserved tokens of answered requests."""
        self._seconds: float | None = None
        """Average seconds that a request spends in the engine."""
        metrics.traffic.waiting_requests.set_function(lambda: self._queue.requests)
        metrics.traffic.waiting_tokens.set_function(lambda: self._queue.tokens)
        metrics.traffic.running.set_function(lambda: self.places - self._free)

    def check(self, caller: Caller, profile: str) -> None:
        """Refuse early a request that would be refused at any size. Raises RateLimited, Overloaded."""
        try:
            self._check(caller, 0, 1)
        except (RateLimited, Overloaded) as error:
            self._count_refusal(profile, error)
            raise

    def reserve(self, caller: Caller, profile: str, tokens: int, completions: int) -> Place:
        """A place in the engine if enough are free, else in the queue. The request must `leave` it in the end.

        `tokens` counts the prompt and the most that may be written. Raises RateLimited, Overloaded.
        """
        # The engine itself queues completions beyond the number of places.
        completions = min(completions, self.places)
        try:
            self._check(caller, tokens, completions)
        except (RateLimited, Overloaded) as error:
            self._count_refusal(profile, error)
            raise
        self._limits.take(caller, tokens, completions)
        timeouts = (self._settings.queue_timeout, self._settings.request_timeout)
        place = Place(caller.id, profile, tokens, completions, timeouts)
        self._in_service += 1
        self._empty.clear()
        self._queue.add(place)
        self._grant()
        return place

    async def wait_for_turn(self, place: Place) -> None:
        """Wait until the request may use the engine. Raises Overloaded when that takes too long."""
        if place.state is PlaceState.WAITING:
            if self._dismissed:
                raise self._stopping_error()
            place.granted = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout_at(min(place.queue_deadline, place.deadline)):
                    await place.granted
            except TimeoutError:
                # It may have been granted at the very moment of the time-out.
                if place.state is not PlaceState.RUNNING:
                    waited = f"The request waited {self._settings.queue_timeout:g} s for the engine"
                    error = Overloaded(
                        f"{waited}, the longest allowed; try again later.", "queue_timeout", self._retry_after()
                    )
                    self._count_refusal(place.profile, error)
                    raise error from None
        if place.state is PlaceState.LEFT:
            raise RuntimeError("the request has left its place")

    def leave(self, place: Place, used: int = 0, *, finished: bool = False) -> bool:
        """Give up a place in the queue or the engine; False if the request had already left.

        `used` counts the tokens read and written; `finished` says whether the request was answered completely.
        """
        if place.state is PlaceState.LEFT:
            return False
        unused = max(0, place.tokens - used)
        if place.state is PlaceState.WAITING:
            self._queue.remove(place)
        else:
            self._free += place.completions
            self._queue.refund(place, unused)
            if finished:
                self._measure(place)
        place.state = PlaceState.LEFT
        self._limits.give_back(place.caller_id, unused, place.completions)
        self._in_service -= 1
        if not self._in_service:
            self._empty.set()
        self._grant()
        return True

    def stop(self) -> None:
        """Refuse new requests; those that wait or run may finish."""
        self._stopping = True

    def refuse_waiting(self) -> None:
        """Refuse every waiting request, also those that will ask for their turn later."""
        self._dismissed = True
        for place in self._queue:
            if place.granted is not None and not place.granted.done():
                place.granted.set_exception(self._stopping_error())

    async def emptied(self) -> None:
        """Wait until every request has left."""
        await self._empty.wait()

    def _check(self, caller: Caller, tokens: int, completions: int) -> None:
        if self._stopping:
            raise self._stopping_error()
        self._limits.check(caller, tokens, self._seconds, completions)
        if self._queue.requests == 0 and completions <= self._free:
            return
        if self._queue.requests >= self._settings.waiting_requests:
            waiting = f"{self._queue.requests} requests are waiting, the most allowed"
            raise Overloaded(f"{waiting}; try again later.", "waiting_requests", self._retry_after())
        if self._queue.requests and self._queue.tokens + tokens > self._settings.waiting_tokens:
            waiting = f"The waiting requests hold {self._queue.tokens} of {self._settings.waiting_tokens} tokens"
            raise Overloaded(f"{waiting}; try again later.", "waiting_tokens", self._retry_after())

    @staticmethod
    def _stopping_error() -> Overloaded:
        message = "The service is stopping; send the request to another instance, or try again later."
        return Overloaded(message, "stopping", _FIRST_RETRY_AFTER)

    def _grant(self) -> None:
        """Let waiting requests in while places are free; a request that needs several holds back those behind it."""
        now = asyncio.get_running_loop().time()
        while (place := self._queue.first()) is not None and place.completions <= self._free:
            self._queue.grant(place)
            self._free -= place.completions
            place.state = PlaceState.RUNNING
            place.granted_at = now
            if place.granted is not None and not place.granted.done():
                place.granted.set_result(None)

    def _measure(self, place: Place) -> None:
        """Update the averages by a request that was answered."""
        seconds = max(1e-3, asyncio.get_running_loop().time() - place.granted_at)
        self._seconds = _averaged(self._seconds, seconds)
        self._speed = _averaged(self._speed, place.tokens / (seconds * place.completions))

    def _retry_after(self) -> int:
        """Seconds until the requests that wait now are answered, at the recent speed."""
        if self._speed is None:
            return _FIRST_RETRY_AFTER
        return min(_MAX_RETRY_AFTER, max(1, math.ceil(self._queue.tokens / (self._speed * self.places))))

    def _count_refusal(self, profile: str, error: RateLimited | Overloaded) -> None:
        self._metrics.traffic.refusals.labels(profile, error.reason).inc()


def _averaged(average: float | None, latest: float) -> float:
    return latest if average is None else (1 - _SMOOTHING) * average + _SMOOTHING * latest
