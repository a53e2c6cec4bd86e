"""Limits of each caller that hold over all replicas of the service: counted in Redis or PostgreSQL, by `limits`.

Requests and tokens per minute are counted in sliding windows. Completions in service are counted in the window in which
they began. No request lives longer than a window, so what is in service was counted in this window or the one before,
and what a replica that died has counted is forgotten after two. What cannot be given back because the store is away
is given back when it answers again.
"""

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from rewards.errors import FgctlError
from service.domain.caller import NO_LIMITS, Caller, Limits
from service.errors import RateLimited, ServiceError, Unavailable

logger = logging.getLogger(__name__)

STORE_SECONDS = 2.0
"""Seconds that the store of counts may take to answer."""
MINUTE = 60
"""Seconds of the sliding windows."""
_PAUSE = 1.0
"""Seconds for which a store that has failed is not asked again."""
_KEPT_WINDOWS = 3
"""Windows for which a count of completions is kept."""

Kind = Literal["completions", "requests", "tokens"]


@dataclass
class Taken:
    """What a request has taken from its caller's limits, as far as the store has counted it."""

    caller_id: str
    limits: Limits
    window: int
    """The window in which its completions are counted."""
    uncounted: int
    """Tokens that it may use and that are not counted: all without a limit, and those beyond a minute's worth."""
    at: float
    """By the monotonic clock."""
    completions: int = 0
    requests: int = 0
    tokens: int = 0


class _Debt(NamedTuple):
    """What is to be given back."""

    taken: Taken
    kind: Kind
    amount: int


class SharedLimits:
    """The usage of every caller, by all replicas."""

    def __init__(self, url: str, default: Limits, fails: Literal["open", "closed"], request_seconds: float) -> None:
        """`default` applies where a caller has no limit of its own; no request lives longer than `request_seconds`.

        While the store cannot be asked, requests pass (`open`) or are refused (`closed`). Raises FgctlError for a URL
        that names no store.
        """
        from limits.aio.strategies import SlidingWindowCounterRateLimiter

        self._storage = _storage(url)
        self._limiter = SlidingWindowCounterRateLimiter(self._storage)
        self._default = default
        self._fails = fails
        self._window_seconds = max(MINUTE, math.ceil(request_seconds))
        self._away_until = 0.0
        self._owed: deque[_Debt] = deque()
        """No more than the requests that the store has counted, and none is added while it is away."""
        self._settling: set[asyncio.Task[None]] = set()

    async def take(self, caller: Caller, tokens: int, completions: int) -> Taken | None:
        """Count a request. None where nothing limits its caller, or where the store is away and requests pass.

        A request of more tokens or completions than the caller may use must be its only one. Raises RateLimited, and
        Unavailable while the store is away and requests are refused.
        """
        limits = caller.limits.or_else(self._default)
        if limits == NO_LIMITS:
            return None
        await self.settle()
        window = int(time.time()) // self._window_seconds
        taken = Taken(caller.id, limits, window, tokens, time.monotonic())
        try:
            async with self._asked() as passes:
                if passes:
                    return None
                await self._take(taken, tokens, completions)
                return taken
        except ServiceError:
            await self._return(taken)
            raise
        await self._return(taken)
        return None

    def give_back(self, taken: Taken | None, unused_tokens: int, completions: int, *, refused: bool = False) -> None:
        """Return what a counted request did not use or does not need any more, without waiting.

        One that was refused in the end costs its caller no request either.
        """
        if taken is None:
            return
        unused = max(0, unused_tokens - taken.uncounted)
        taken.uncounted -= unused_tokens - unused
        self._owe(taken, min(completions, taken.completions), taken.requests if refused else 0, unused)
        task = asyncio.get_running_loop().create_task(self.settle())
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    async def settle(self) -> None:
        """Give back what is owed; what the store does not take now stays owed."""
        while self._owed:
            debt, paid = self._owed.popleft(), False
            try:
                async with self._asked() as passes:
                    if not passes:
                        await self._pay(debt)
                        paid = True
            except Unavailable:
                pass
            if not paid:
                self._owed.append(debt)
                return

    async def close(self) -> None:
        """Wait for what is being given back, and leave the store."""
        await asyncio.gather(*self._settling, return_exceptions=True)
        await self._storage.close()

    async def _take(self, taken: Taken, tokens: int, completions: int) -> None:
        """Raises RateLimited; what was counted until then is noted in `taken`."""
        limits = taken.limits
        if limits.concurrency is not None and completions:
            await self._take_completions(taken, completions, limits.concurrency)
        if limits.requests_per_minute is not None:
            if seconds := await self._hit("requests", taken, 1):
                raise RateLimited(
                    f"You may send {limits.requests_per_minute} requests per minute; wait {seconds} s.",
                    "requests_per_minute",
                    seconds,
                )
            taken.requests = 1
        if limits.tokens_per_minute is not None and tokens:
            counted = min(tokens, limits.tokens_per_minute)
            if seconds := await self._hit("tokens", taken, counted):
                raise RateLimited(
                    f"You may use {limits.tokens_per_minute} tokens per minute and this request may use {tokens}; wait "
                    f"{seconds} s, or lower max_tokens.",
                    "tokens_per_minute",
                    seconds,
                )
            taken.tokens, taken.uncounted = counted, tokens - counted

    async def _take_completions(self, taken: Taken, completions: int, allowed: int) -> None:
        current = await self._add_completions(taken, completions)
        taken.completions = completions
        before = max(0, await self._storage.get(self._key(taken, -1)))
        others = max(0, current - completions) + before
        if others and others + completions > allowed:
            raise RateLimited(
                f"{others} of your completions are in service and {allowed} are allowed; send the next when one ends.",
                "concurrency",
                1,
            )

    async def _hit(self, kind: Kind, taken: Taken, amount: int) -> int | None:
        """Count an amount against a limit per minute; the seconds to wait where it is too much."""
        item = self._item(kind, taken.limits)
        if await self._limiter.hit(item, kind, taken.caller_id, cost=amount):
            return None
        windows = await self._storage.get_sliding_window(item.key_for(kind, taken.caller_id), MINUTE)
        return max(1, math.ceil(seconds_until(amount, item.amount, *windows)))

    async def _return(self, taken: Taken) -> None:
        """Give back what was counted of a request that does not go on."""
        self._owe(taken, taken.completions, taken.requests, taken.tokens)
        await self.settle()

    def _owe(self, taken: Taken, completions: int, requests: int, tokens: int) -> None:
        amounts: dict[Kind, int] = {"completions": completions, "requests": requests, "tokens": tokens}
        self._owed.extend(_Debt(taken, kind, amount) for kind, amount in amounts.items() if amount)

    async def _pay(self, debt: _Debt) -> None:
        taken, kind, amount = debt
        if kind == "completions":
            left = await self._add_completions(taken, -amount)
            if left < 0:  # the store has lost what was counted
                await self._add_completions(taken, min(amount, -left))
        elif time.monotonic() - taken.at < MINUTE:  # later, it has left the sliding window
            await self._limiter.hit(self._item(kind, taken.limits), kind, taken.caller_id, cost=-amount)

    async def _add_completions(self, taken: Taken, amount: int) -> int:
        return int(await self._storage.incr(self._key(taken), self._window_seconds * _KEPT_WINDOWS, amount))

    @asynccontextmanager
    async def _asked(self) -> AsyncIterator[bool]:
        """A context in which the store is asked; yields True where it is away and requests pass.

        Raises Unavailable where it is away and requests are refused.
        """
        from limits.errors import StorageError

        if time.monotonic() < self._away_until:
            yield self._passes()
            return
        if self._away_until:  # this request finds out whether the store is back, and no other waits for that
            self._away_until = time.monotonic() + STORE_SECONDS
        try:
            async with asyncio.timeout(STORE_SECONDS):
                yield False
        except (StorageError, TimeoutError, OSError) as error:
            if not self._away_until:
                reason = str(error) or f"no answer in {STORE_SECONDS:g} s"
                logger.error("the store of limits cannot be asked (%s); requests %s", reason, self._then)
            self._away_until = time.monotonic() + _PAUSE
            self._passes()
        except ServiceError:
            self._answered()
            raise
        else:
            self._answered()

    def _answered(self) -> None:
        if self._away_until:
            logger.warning("the store of limits answers again")
        self._away_until = 0.0

    @property
    def _then(self) -> str:
        return "pass by each replica's own limits" if self._fails == "open" else "of callers with limits are refused"

    def _passes(self) -> bool:
        if self._fails == "closed":
            raise Unavailable("The limits of callers cannot be checked now; try again in a few seconds.", retry_after=5)
        return True

    def _key(self, taken: Taken, windows: int = 0) -> str:
        return f"fgctl/completions/{taken.caller_id}/{taken.window + windows}"

    @staticmethod
    def _item(kind: Kind, limits: Limits) -> Any:
        from limits import RateLimitItemPerMinute

        allowed = limits.requests_per_minute if kind == "requests" else limits.tokens_per_minute
        return RateLimitItemPerMinute(allowed or 0, namespace="fgctl")


def seconds_until(
    amount: int, limit: int, before: int, before_seconds: float, current: int, current_seconds: float
) -> float:
    """Seconds until an amount of at most the limit can be taken, if nothing else is taken meanwhile.

    The other arguments describe the sliding window as `limits` does: the count of the minute before and the seconds
    for which a part of it counts still, and the count of the current one and the seconds until that is forgotten.
    """
    room = limit - amount
    if current > room:  # until this minute is over, and its own count has shrunk enough
        return max(0.0, current_seconds - MINUTE) + MINUTE * (1 - room / current)
    if before <= 0:
        return 0.0
    return max(0.0, before_seconds - MINUTE * (room - current) / before)


def _storage(url: str) -> Any:
    """The storage behind a URL. Raises FgctlError."""
    from sqlalchemy.exc import ArgumentError

    scheme = url.partition("://")[0]
    try:
        if scheme in ("redis", "rediss"):
            from service.admission.redis_counts import RedisCounts

            return RedisCounts(url)
        if scheme == "postgresql":
            from service.admission.postgres_counts import PostgresCounts

            return PostgresCounts(url)
    except (ValueError, ArgumentError):  # whose messages may hold the password
        pass
    raise FgctlError(
        "FGCTL_LIMITS_URL names no store of limits; write redis://HOST or postgresql://USER@HOST/DATABASE."
    )
