"""Fair shares of the engine: which waiting request is next.

Virtual token counters (Sheng et al. 2024, "Fairness in Serving Large Language Models", arXiv 2401.00588). Each party
has a counter of the tokens it was granted, and the party with the lowest counter is next. A party that joins or comes
back starts at the counter of the party served last, or higher, so staying away earns no credit. This is deficit
round-robin without a quantum: while two parties both wait, the tokens they are granted differ by at most one request
each. Parties are profiles, and within a profile its callers.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterator
from typing import Generic, Protocol, TypeVar

_MAX_COUNTERS = 4096
"""Counters kept before those of parties that do not wait are dropped; callers may be any number of addresses."""


class Waiting(Protocol):
    """A request that waits."""

    profile: str
    caller_id: str
    tokens: int
    """Tokens of its prompt and the most it may write."""
    contended: tuple[bool, bool]
    """Whether other profiles, and other callers of its profile, also waited when it was granted. Set by the queue."""


Request = TypeVar("Request", bound=Waiting)


class Counters:
    """Tokens granted to each party."""

    def __init__(self) -> None:
        self._granted: dict[str, float] = {}
        self._floor = 0.0
        """The counter of the party served last, before it was charged."""

    def __len__(self) -> int:
        return len(self._granted)

    def join(self, party: str, waiting: Collection[str]) -> None:
        """Add a party that had no waiting request."""
        if len(self._granted) >= _MAX_COUNTERS:
            self._drop_idle(waiting)
        self._granted[party] = max(self._granted.get(party, 0.0), self._floor)

    def least(self, waiting: Collection[str]) -> str:
        """The party that is next: the one with the fewest tokens, and among equals the one that waits longest."""
        return min(waiting, key=self._granted.__getitem__)

    def charge(self, party: str, tokens: int) -> None:
        """Count tokens granted to a party."""
        self._floor = max(self._floor, self._granted[party])
        self._granted[party] += tokens

    def refund(self, party: str, tokens: int) -> None:
        """Give back tokens that a party did not use."""
        if party in self._granted:
            self._granted[party] -= tokens

    def _drop_idle(self, waiting: Collection[str]) -> None:
        """Drop idle counters that `join` would raise to the floor anyway, or else the older half of the idle ones."""
        idle = [party for party in self._granted if party not in waiting]
        below_floor = [party for party in idle if self._granted[party] <= self._floor]
        for party in below_floor or idle[: len(idle) // 2]:
            del self._granted[party]


class FairQueue(Generic[Request]):
    """The waiting requests, and the tokens granted to each profile and caller so far."""

    def __init__(self) -> None:
        self._waiting: dict[str, dict[str, OrderedDict[Request, None]]] = {}
        """By profile and caller, in the order of arrival."""
        self._profiles = Counters()
        self._callers: dict[str, Counters] = {}
        self.requests = 0
        self.tokens = 0

    def add(self, request: Request) -> None:
        """Add a request to the queue."""
        callers = self._waiting.get(request.profile)
        if callers is None:
            self._profiles.join(request.profile, self._waiting)
            callers = self._waiting[request.profile] = {}
        if request.caller_id not in callers:
            self._callers.setdefault(request.profile, Counters()).join(request.caller_id, callers)
            callers[request.caller_id] = OrderedDict()
        callers[request.caller_id][request] = None
        self.requests += 1
        self.tokens += request.tokens

    def __iter__(self) -> Iterator[Request]:
        """All waiting requests."""
        for callers in self._waiting.values():
            for requests in callers.values():
                yield from requests

    def first(self) -> Request | None:
        """The request that is next, or None when none waits."""
        if not self._waiting:
            return None
        profile = self._profiles.least(self._waiting)
        callers = self._waiting[profile]
        return next(iter(callers[self._callers[profile].least(callers)]))

    def grant(self, request: Request) -> None:
        """Remove a request from the queue and charge its profile and caller."""
        request.contended = (len(self._waiting) > 1, len(self._waiting[request.profile]) > 1)
        self._profiles.charge(request.profile, request.tokens)
        self._callers[request.profile].charge(request.caller_id, request.tokens)
        self.remove(request)

    def remove(self, request: Request) -> None:
        """Remove a request from the queue."""
        callers = self._waiting[request.profile]
        requests = callers[request.caller_id]
        del requests[request]
        if not requests:
            del callers[request.caller_id]
        if not callers:
            del self._waiting[request.profile]
        self.requests -= 1
        self.tokens -= request.tokens

    def refund(self, request: Request, unused: int) -> None:
        """Give back the tokens that a granted request did not use.

        Only if others waited when it was granted; otherwise the refund would be a credit against those who came later.
        """
        among_profiles, among_callers = request.contended
        if among_profiles:
            self._profiles.refund(request.profile, unused)
        if among_callers:
            self._callers[request.profile].refund(request.caller_id, unused)
