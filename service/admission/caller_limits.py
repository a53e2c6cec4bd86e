"""What each caller uses, against what it may: requests at once, requests and tokens a minute."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from service.domain.caller import NO_LIMITS, Caller, Limits
from service.errors import Limited

_MOST_CALLERS = 4096
"""Callers remembered while they have nothing in service; full buckets need no memory."""


class Bucket:
    """A token bucket: it fills at `per_minute`, and holds a minute's worth."""

    def __init__(self, per_minute: int, now: float) -> None:
        self._capacity = float(per_minute)
        self._rate = per_minute / 60
        self._level = self._capacity
        self._at = now

    def seconds_until(self, amount: float, now: float) -> float:
        """How long until `amount` can be taken; 0 when it can now.

        More than a minute's worth can be taken from a full bucket, which then owes the rest.
        """
        self._fill(now)
        return max(0.0, (min(amount, self._capacity) - self._level) / self._rate)

    def take(self, amount: float) -> None:
        """Take `amount`, which `seconds_until` has said can be taken."""
        self._level -= amount

    def give_back(self, amount: float) -> None:
        """Return what was taken and not used."""
        self._level = min(self._capacity, self._level + amount)

    def full(self, now: float) -> bool:
        """Whether nothing is missing."""
        self._fill(now)
        return self._level >= self._capacity

    def _fill(self, now: float) -> None:
        self._level = min(self._capacity, self._level + (now - self._at) * self._rate)
        self._at = now


@dataclass
class _Use:
    """What one caller uses."""

    limits: Limits
    held: int = 0
    requests: Bucket | None = None
    tokens: Bucket | None = None

    @classmethod
    def of(cls, limits: Limits, now: float) -> "_Use":
        requests, tokens = (
            None if per_minute is None else Bucket(per_minute, now)
            for per_minute in (limits.requests_per_minute, limits.tokens_per_minute)
        )
        return cls(limits, requests=requests, tokens=tokens)

    def nothing(self, now: float) -> bool:
        """Whether forgetting it changes nothing."""
        return not self.held and all(bucket is None or bucket.full(now) for bucket in (self.requests, self.tokens))


class CallerLimits:
    """Every caller's use. Callers without limits cost nothing."""

    def __init__(self, default: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        """`default` holds for what a caller's own limits leave open."""
        self._default = default
        self._clock = clock
        self._uses: dict[str, _Use] = {}

    def check(self, caller: Caller, tokens: int = 0, request_seconds: float | None = None) -> None:
        """Raises Limited when the caller may not send a request of so many tokens now.

        `request_seconds` is how long a request takes, for when to come back to a limit of concurrency.
        """
        use, now = self._use(caller), self._clock()
        if use is None:
            return
        limits = use.limits
        if limits.concurrency is not None and use.held >= limits.concurrency:
            # Those in service are, on average, evenly spread over their time.
            seconds = (request_seconds or 1.0) / max(1, use.held)
            raise Limited(
                f"{use.held} of your requests are in service, the most that is allowed; send the next when one ends.",
                "concurrency",
                _whole(seconds),
            )
        if use.requests is not None and (seconds := use.requests.seconds_until(1, now)):
            allowed = limits.requests_per_minute
            raise Limited(
                f"You may send {allowed} requests a minute; wait {_whole(seconds)} s.",
                "requests_per_minute",
                _whole(seconds),
            )
        if use.tokens is not None and (seconds := use.tokens.seconds_until(tokens, now)):
            allowed = limits.tokens_per_minute
            raise Limited(
                f"You may use {allowed} tokens a minute and this needs {tokens}; wait {_whole(seconds)} s, "
                f"or lower max_tokens.",
                "tokens_per_minute",
                _whole(seconds),
            )

    def take(self, caller: Caller, tokens: int) -> None:
        """Count a request that `check` has let pass."""
        use = self._use(caller)
        if use is None:
            return
        use.held += 1
        if use.requests is not None:
            use.requests.take(1)
        if use.tokens is not None:
            use.tokens.take(tokens)

    def give_back(self, caller_id: str, unused_tokens: int) -> None:
        """A counted request has ended, without having used some of its tokens."""
        use = self._uses.get(caller_id)
        if use is None:
            return
        use.held = max(0, use.held - 1)
        if use.tokens is not None:
            use.tokens.give_back(unused_tokens)

    def _use(self, caller: Caller) -> _Use | None:
        limits = caller.limits.or_else(self._default)
        use = self._uses.get(caller.id)
        if use is None or use.limits != limits:
            if limits == NO_LIMITS:
                return None
            held = use.held if use else 0
            self._forget()
            use = self._uses[caller.id] = _Use.of(limits, self._clock())
            use.held = held
        return use

    def _forget(self) -> None:
        if len(self._uses) < _MOST_CALLERS:
            return
        now = self._clock()
        for caller_id, use in list(self._uses.items()):
            if use.nothing(now):
                del self._uses[caller_id]


def _whole(seconds: float) -> int:
    return max(1, math.ceil(seconds))
