"""Admission control: which requests may use the engine now, which wait, and which are refused.

At most `places` completions are in the engine. Further requests wait in a fair queue (`fair_queue.py`), which is
bounded in requests and tokens. Each caller has limits too (`caller_limits.py`). Nothing polls: a request that leaves
lets the next one in.
"""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from policies.engine.defaults import SEQUENCES
from service.admission.caller_limits import CallerLimits, Remaining
from service.admission.fair_queue import FairQueue
from service.domain.caller import Caller, Limits
from service.errors import BadRequest, Overloaded, RateLimited
from service.metrics.metrics import Metrics
from service.metrics.traffic import UNKNOWN
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


class Size(NamedTuple):
    """What the answers to a prompt need."""

    tokens: int
    """Tokens of the prompt and the most that may be written."""
    completions: int


@dataclass
class CountedRequest:
    """A caller's request, which counts once and whose places leave one by one."""

    places: int
    """Those that have not left."""
    refused: bool = False


class Place:
    """A prompt's place: first in the queue, then in the engine, until it leaves."""

    def __init__(
        self, request: CountedRequest, caller_id: str, profile: str, size: Size, timeouts: tuple[float, float]
    ) -> None:
        self.request = request
        self.caller_id = caller_id
        self.profile = profile
        self.tokens, self.completions = size
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
        self.places = self._free = 0
        """The most completions in the engine, and how many more it takes now."""
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
        metrics.engine.queue = lambda: self._queue.requests
        self.resize(settings.max_num_seqs or SEQUENCES["cpu"])

    def resize(self, sequences: int) -> None:
        """Admit by what the engine decodes at once, all of its ranks together.

        There are an eighth more places: the engine replaces a finished sequence from its own queue in the next step,
        while a request from this queue would arrive a step late.
        """
        places = sequences + max(1, sequences // 8)
        self._free += places - self.places
        self.places = places

    def check(self, caller: Caller, profile: str) -> None:
        """Refuse early a request that would be refused at any size. Raises RateLimited, Overloaded."""
        try:
            self._check(caller, [Size(0, 1)])
        except (RateLimited, Overloaded) as error:
            self._count_refusal(profile, error)
            raise

    def check_admitted(self, caller: Caller) -> None:
        """Refuse early a request that needs no place in the engine. Raises RateLimited, Overloaded."""
        try:
            if self._stopping:
                raise self._stopping_error()
            self._limits.check(caller, completions=0)
        except (RateLimited, Overloaded) as error:
            self._count_refusal(UNKNOWN, error)
            raise

    def admit(self, caller: Caller) -> None:
        """Count a request that needs no place in the engine. Raises RateLimited, Overloaded."""
        self.check_admitted(caller)
        self._limits.take(caller, 0, completions=0)

    def reserve(self, caller: Caller, profile: str, tokens: int, completions: int) -> Place:
        """The place of a request with one prompt; `tokens` counts the prompt and the most that may be written."""
        return self.reserve_all(caller, profile, [Size(tokens, completions)])[0]

    def reserve_all(self, caller: Caller, profile: str, sizes: Sequence[Size]) -> list[Place]:
        """A place for each prompt of one request: in the engine if enough are free, else in the queue.

        The request counts once. It must `leave` every place in the end. Raises RateLimited and Overloaded, and
        BadRequest for more prompts than there can ever be places for; it has then cost its caller nothing.
        """
        # The engine itself queues completions beyond the number of places.
        sizes = [Size(tokens, min(completions, self.places)) for tokens, completions in sizes]
        try:
            self._check(caller, sizes)
        except (RateLimited, Overloaded) as error:
            self._count_refusal(profile, error)
            raise
        self._limits.take(caller, _tokens(sizes), _completions(sizes))
        timeouts = (self._settings.queue_timeout, self._settings.request_timeout)
        request = CountedRequest(len(sizes))
        places = [Place(request, caller.id, profile, size, timeouts) for size in sizes]
        self._in_service += len(places)
        self._empty.clear()
        for place in places:
            self._queue.add(place)
        self._grant()
        return places

    async def wait_for_turn(self, place: Place) -> None:
        """Wait until the request may use the engine. Raises Overloaded when that takes too long."""
        if place.state is PlaceState.WAITING:
            if self._dismissed:
                place.request.refused = True
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
                    place.request.refused = True
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
        request = place.request
        request.places -= 1
        self._limits.give_back(
            place.caller_id, unused, place.completions, ended=not request.places, refused=request.refused
        )
        self._in_service -= 1
        if not self._in_service:
            self._empty.set()
        self._grant()
        return True

    def remaining(self, caller: Caller) -> dict[str, Remaining]:
        """What a caller may still use of its `requests` and `tokens` per minute, as far as these are limited."""
        return self._limits.remaining(caller)

    def stop(self) -> None:
        """Refuse new requests; those that wait or run may finish."""
        self._stopping = True

    def refuse_waiting(self) -> None:
        """Refuse every waiting request, also those that will ask for their turn later."""
        self._dismissed = True
        for place in self._queue:
            if place.granted is not None and not place.granted.done():
                place.request.refused = True
                place.granted.set_exception(self._stopping_error())

    async def emptied(self) -> None:
        """Wait until every request has left."""
        await self._empty.wait()

    def _check(self, caller: Caller, sizes: Sequence[Size]) -> None:
        if self._stopping:
            raise self._stopping_error()
        bounds, idle = self._settings, _waiting(sizes, self.places)
        if len(idle) > bounds.waiting_requests or (len(idle) > 1 and _tokens(idle) > bounds.waiting_tokens):
            message = f"This request has {len(sizes)} prompts, more than can ever run and wait; send fewer at once."
            raise BadRequest(message, "prompt")
        self._limits.check(caller, _tokens(sizes), self._seconds, _completions(sizes))
        queue = self._queue
        waiting = _waiting(sizes, 0 if queue.requests else self._free)
        if not waiting:
            return
        if queue.requests + len(waiting) > bounds.waiting_requests:
            message = f"{queue.requests} requests are waiting, and {bounds.waiting_requests} are allowed"
            raise Overloaded(f"{message}; try again later.", "waiting_requests", self._retry_after())
        if queue.requests + len(waiting) > 1 and queue.tokens + _tokens(waiting) > bounds.waiting_tokens:
            message = f"The waiting requests hold {queue.tokens} of {bounds.waiting_tokens} tokens"
            raise Overloaded(f"{message}; try again later.", "waiting_tokens", self._retry_after())

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


def _waiting(sizes: Sequence[Size], free: int) -> Sequence[Size]:
    """Those of a request's prompts that have to wait when so many places are free; none overtakes another."""
    for number, size in enumerate(sizes):
        free -= size.completions
        if free < 0:
            return sizes[number:]
    return ()


def _tokens(sizes: Sequence[Size]) -> int:
    return sum(size.tokens for size in sizes)


def _completions(sizes: Sequence[Size]) -> int:
    return sum(size.completions for size in sizes)


def _averaged(average: float | None, latest: float) -> float:
    return latest if average is None else (1 - _SMOOTHING) * average + _SMOOTHING * latest
