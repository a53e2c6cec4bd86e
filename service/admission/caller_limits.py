"""Limits of each caller: completions at once, requests per minute and tokens per minute."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from service.domain.caller import NO_LIMITS, Caller, Limits
from service.errors import RateLimited

_MAX_CALLERS = 4096
"""Callers remembered; beyond that, those with no requests in service and full buckets are forgotten."""


class Bucket:
    """A token bucket: it refills at `per_minute` and holds a minute's worth."""

    def __init__(self, per_minute: int, now: float) -> None:
        self._capacity = float(per_minute)
        self._rate = per_minute / 60
        self._level = self._capacity
        self._at = now

    def seconds_until(self, amount: float, now: float) -> float:
        """Seconds until `amount` can be taken; 0 when it can be taken now.

        A full bucket gives more than a minute's worth too, and its level is then negative.
        """
        self._fill(now)
        return max(0.0, (min(amount, self._capacity) - self._level) / self._rate)

    def take(self, amount: float) -> None:
        """Take `amount`; call only after `seconds_until` gave 0."""
        self._level -= amount

    def give_back(self, amount: float) -> None:
        """Return an unused amount."""
        self._level = min(self._capacity, self._level + amount)

    def remaining(self, now: float) -> "Remaining":
        """What can be taken now, and when the bucket is full."""
        self._fill(now)
        left = max(0, math.floor(self._level))
        return Remaining(round(self._capacity), left, (self._capacity - self._level) / self._rate)

    def full(self, now: float) -> bool:
        """Whether the bucket is full."""
        self._fill(now)
        return self._level >= self._capacity

    def _fill(self, now: float) -> None:
        self._level = min(self._capacity, self._level + (now - self._at) * self._rate)
        self._at = now


@dataclass
class _Usage:
    """What one caller uses."""

    limits: Limits
    in_service: int = 0
    """Completions waiting or being written."""
    requests: Bucket | None = None
    tokens: Bucket | None = None

    @classmethod
    def of(cls, limits: Limits, now: float) -> "_Usage":
        requests, tokens = (
            None if per_minute is None else Bucket(per_minute, now)
            for per_minute in (limits.requests_per_minute, limits.tokens_per_minute)
        )
        return cls(limits, requests=requests, tokens=tokens)

    def is_idle(self, now: float) -> bool:
        """Whether it equals the usage of a new caller."""
        buckets = (self.requests, self.tokens)
        return not self.in_service and all(bucket is None or bucket.full(now) for bucket in buckets)


@dataclass(frozen=True)
class Remaining:
    """What a caller may still use of one of its limits per minute."""

    limit: int
    left: int
    reset: float
    """Seconds until the whole limit may be used again."""


class CallerLimits:
    """The usage of every caller that has limits."""

    def __init__(self, default: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        """`default` applies where a caller has no limit of its own."""
        self._default = default
        self._clock = clock
        self._usages: dict[str, _Usage] = {}

    def check(
        self, caller: Caller, tokens: int = 0, request_seconds: float | None = None, completions: int = 1
    ) -> None:
        """Raises RateLimited when the caller may not send a request of so many tokens and completions now.

        A request of more completions than the caller may have at once must be its only one.
        `request_seconds` is how long a request takes, from which a caller at its concurrency is told when to retry.
        """
        usage, now = self._usage(caller), self._clock()
        if usage is None:
            return
        limits = usage.limits
        busy = usage.in_service > 0 and usage.in_service + completions > (limits.concurrency or math.inf)
        if busy:
            # On average, the completions in service end at even intervals.
            seconds = (request_seconds or 1.0) / max(1, usage.in_service)
            raise RateLimited(
                f"{usage.in_service} of your completions are in service and {limits.concurrency} are allowed; "
                "send the next when one ends.",
                "concurrency",
                _whole(seconds),
            )
        if usage.requests is not None and (seconds := usage.requests.seconds_until(1, now)):
            raise RateLimited(
                f"You may send {limits.requests_per_minute} requests per minute; wait {_whole(seconds)} s.",
                "requests_per_minute",
                _whole(seconds),
            )
        if usage.tokens is not None and (seconds := usage.tokens.seconds_until(tokens, now)):
            raise RateLimited(
                f"You may use {limits.tokens_per_minute} tokens per minute and this request may use {tokens}; "
                f"wait {_whole(seconds)} s, or lower max_tokens.",
                "tokens_per_minute",
                _whole(seconds),
            )

    def remaining(self, caller: Caller) -> dict[str, Remaining]:
        """What a caller may still use of its `requests` and `tokens` per minute, as far as these are limited."""
        usage, now = self._usage(caller), self._clock()
        buckets = {} if usage is None else {"requests": usage.requests, "tokens": usage.tokens}
        return {name: bucket.remaining(now) for name, bucket in buckets.items() if bucket is not None}

    def take(self, caller: Caller, tokens: int, completions: int = 1) -> None:
        """Count a request that `check` allowed."""
        usage = self._usage(caller)
        if usage is None:
            return
        usage.in_service += completions
        if usage.requests is not None:
            usage.requests.take(1)
        if usage.tokens is not None:
            usage.tokens.take(tokens)

    def give_back(
        self, caller_id: str, unused_tokens: int, completions: int = 1, *, ended: bool = True, refused: bool = False
    ) -> None:
        """Return what a counted request did not use or does not need any more; `ended` unless parts of it go on.

        One that was refused in the end costs its caller nothing.
        """
        usage = self._usages.get(caller_id)
        if usage is None:
            return
        usage.in_service = max(0, usage.in_service - completions)
        if usage.tokens is not None:
            usage.tokens.give_back(unused_tokens)
        if ended and refused and usage.requests is not None:
            usage.requests.give_back(1)

    def _usage(self, caller: Caller) -> _Usage | None:
        """The caller's usage, started anew when its limits have changed; None for a caller without limits."""
        limits = caller.limits.or_else(self._default)
        usage = self._usages.get(caller.id)
        if usage is None or usage.limits != limits:
            if limits == NO_LIMITS:
                return None
            in_service = usage.in_service if usage else 0
            self._forget_idle()
            usage = self._usages[caller.id] = _Usage.of(limits, self._clock())
            usage.in_service = in_service
        return usage

    def _forget_idle(self) -> None:
        if len(self._usages) < _MAX_CALLERS:
            return
        now = self._clock()
        for caller_id, usage in list(self._usages.items()):
            if usage.is_idle(now):
                del self._usages[caller_id]


def _whole(seconds: float) -> int:
    return max(1, math.ceil(seconds))
