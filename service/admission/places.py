"""Admission control: who may use the engine now, who waits, and who is told to come back later.

At most `places` completions are in the engine; further requests wait in fair queues (`service/admission/fair_queue.py`), whose
length in requests and tokens is bounded. What one caller may use is bounded too (`service/admission/caller_limits.py`). Nothing polls:
whoever leaves lets the next in.
"""

import asyncio
import math
import time
from collections.abc import Callable
from enum import Enum

from service.admission.caller_limits import CallerLimits
from service.admission.fair_queue import FairQueue
from service.domain.caller import Caller, Limits
from service.errors import Limited, Overloaded
from service.metrics.metrics import Metrics
from service.settings import Settings

_MOST_SECONDS = 120
"""Longest advice of when to come back."""
_FIRST_ADVICE = 5
"""That advice before anything was answered, in seconds."""
_SMOOTHING = 0.1
"""Share of the latest request in the averages."""


class PlaceState(Enum):
    """How far a request has come."""

    WAITING = "waiting"
    RUNNING = "running"
    LEFT = "left"


class Place:
    """A request's place, in the queue and then in the engine, until it leaves."""

    def __init__(self, caller_id: str, profile: str, tokens: int, completions: int, timeouts: tuple[float, float]):
        self.caller_id = caller_id
        self.profile = profile
        self.tokens = tokens
        """Of the prompt, and the most that may be written."""
        self.completions = completions
        self.contended = (False, False)
        self.state = PlaceState.WAITING
        self.reserved_at = now = asyncio.get_running_loop().time()
        self.granted_at = now
        self.queue_deadline, self.deadline = (now + seconds for seconds in timeouts)
        """Until when it may wait, and be answered, by the event loop's clock."""
        self.granted: asyncio.Future[None] | None = None
        """What somebody waits on."""


class Admission:
    """One engine's places, and those who wait for them."""

    def __init__(self, settings: Settings, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` is what rates are measured by, in seconds."""
        self._settings = settings
        # An eighth more than the engine decodes at once: it replaces a sequence that has ended in its very next step,
        # while from here the next request would arrive a step late. The rest of the queue is fair.
        self.places = settings.max_num_seqs + max(1, settings.max_num_seqs // 8)
        """Completions in the engine at most."""
        self._free = self.places
        self._queue: FairQueue[Place] = FairQueue()
        self._limits = CallerLimits(
            Limits(settings.caller_concurrency, settings.caller_requests_per_minute, settings.caller_tokens_per_minute),
            clock,
        )
        self._metrics = metrics
        self._stopping = self._dismissed = False
        self._held = 0
        self._empty = asyncio.Event()
        self._empty.set()
        self._speed: float | None = None
        """Tokens a second in one place, as reserved by requests that were answered."""
        self._seconds: float | None = None
        """Seconds that a request is in the engine."""
        metrics.traffic.waiting_requests.set_function(lambda: self._queue.requests)
        metrics.traffic.waiting_tokens.set_function(lambda: self._queue.tokens)
        metrics.traffic.running.set_function(lambda: self.places - self._free)

    def check(self, caller: Caller, profile: str) -> None:
        """Refuse what would be refused whatever it asks for, before any work is done. Raises Limited, Overloaded."""
        try:
            self._check(caller, 0, 1)
        except (Limited, Overloaded) as error:
            self._refused(profile, error)
            raise

    def reserve(self, caller: Caller, profile: str, tokens: int, completions: int) -> Place:
        """A place for a request, which must `leave`: in the engine if one is free, else in the queue.

        `tokens` are those of the prompt and those it may write. Raises Limited, Overloaded.
        """
        # More completions than there are places are the engine's to queue.
        completions = min(completions, self.places)
        try:
            self._check(caller, tokens, completions)
        except (Limited, Overloaded) as error:
            self._refused(profile, error)
            raise
        self._limits.take(caller, tokens)
        timeouts = (self._settings.queue_timeout, self._settings.request_timeout)
        place = Place(caller.id, profile, tokens, completions, timeouts)
        self._held += 1
        self._empty.clear()
        self._queue.add(place)
        self._grant()
        return place

    async def wait_for_turn(self, place: Place) -> None:
        """Wait until the request may use the engine. Raises Overloaded when that takes too long."""
        if place.state is PlaceState.WAITING:
            if self._dismissed:
                raise self._stopped()
            place.granted = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout_at(min(place.queue_deadline, place.deadline)):
                    await place.granted
            except TimeoutError:
                # It may have been granted in the very moment that its time was up.
                if place.state is not PlaceState.RUNNING:
                    error = Overloaded(
                        f"The request has waited {self._settings.queue_timeout:g} s for others; send it again later.",
                        "queue_timeout",
                        self._retry_after(),
                    )
                    self._refused(place.profile, error)
                    raise error from None
        if place.state is PlaceState.LEFT:
            raise RuntimeError("the request has left its place")

    def leave(self, place: Place, used: int = 0, *, finished: bool = False) -> bool:
        """Give up a place, wherever the request is; False when it had left already.

        `used` are the tokens read and written, and `finished` says whether the request was answered to its end.
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
        self._limits.give_back(place.caller_id, unused)
        self._held -= 1
        if not self._held:
            self._empty.set()
        self._grant()
        return True

    def stop(self) -> None:
        """Admit nobody any more; who waits or runs may finish."""
        self._stopping = True

    def dismiss(self) -> None:
        """Refuse everybody who still waits, also those who have not asked for their turn yet."""
        self._dismissed = True
        for place in self._queue:
            if place.granted is not None and not place.granted.done():
                place.granted.set_exception(self._stopped())

    async def emptied(self) -> None:
        """Wait until every request has left."""
        await self._empty.wait()

    def _check(self, caller: Caller, tokens: int, completions: int) -> None:
        if self._stopping:
            raise self._stopped()
        self._limits.check(caller, tokens, self._seconds)
        if self._queue.requests == 0 and completions <= self._free:
            return
        if self._queue.requests >= self._settings.waiting_requests:
            waiting = f"{self._queue.requests} requests are waiting"
            raise Overloaded(f"{waiting}, the most that may; come back later.", "waiting_requests", self._retry_after())
        if self._queue.requests and self._queue.tokens + tokens > self._settings.waiting_tokens:
            waiting = f"Requests for {self._queue.tokens} tokens are waiting"
            raise Overloaded(
                f"{waiting}, and at most {self._settings.waiting_tokens} may; come back later.",
                "waiting_tokens",
                self._retry_after(),
            )

    @staticmethod
    def _stopped() -> Overloaded:
        return Overloaded("The service is stopping; send the request to another one.", "stopping", _FIRST_ADVICE)

    def _grant(self) -> None:
        """Let in whoever's turn it is, while there are places; who needs several waits for them, others behind."""
        now = asyncio.get_running_loop().time()
        while (place := self._queue.first()) is not None and place.completions <= self._free:
            self._queue.grant(place)
            self._free -= place.completions
            place.state = PlaceState.RUNNING
            place.granted_at = now
            if place.granted is not None and not place.granted.done():
                place.granted.set_result(None)

    def _measure(self, place: Place) -> None:
        seconds = max(1e-3, asyncio.get_running_loop().time() - place.granted_at)
        self._seconds = _averaged(self._seconds, seconds)
        self._speed = _averaged(self._speed, place.tokens / (seconds * place.completions))

    def _retry_after(self) -> int:
        """Seconds until what waits now is answered, at the recent speed."""
        if self._speed is None:
            return _FIRST_ADVICE
        return min(_MOST_SECONDS, max(1, math.ceil(self._queue.tokens / (self._speed * self.places))))

    def _refused(self, profile: str, error: Limited | Overloaded) -> None:
        self._metrics.traffic.refusals.labels(profile, error.reason).inc()


def _averaged(average: float | None, latest: float) -> float:
    return latest if average is None else (1 - _SMOOTHING) * average + _SMOOTHING * latest
