"""Fair shares of the engine: who is next among those that wait.

Virtual token counters (Sheng et al. 2024, "Fairness in Serving Large Language Models", arXiv 2401.00588): each party
has a counter of the tokens it was granted, the one with the fewest is next, and who comes (back) starts no lower than
the counter of who was served last, so that nobody saves up a claim by staying away. It is deficit round-robin without
a quantum: over any time in which two parties both wait, they are granted tokens that differ by at most one request
each. Parties are profiles, and within a profile its callers.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterator
from typing import Generic, Protocol, TypeVar

_MOST_COUNTERS = 4096
"""Counters kept of parties that do not wait; callers may be any number of addresses."""


class Waiting(Protocol):
    """What waits: a request."""

    profile: str
    caller_id: str
    tokens: int
    """Of its prompt, and the most that it may write."""
    contended: tuple[bool, bool]
    """Whether other profiles, and other callers of its own, waited too when it was granted. Set here."""


Request = TypeVar("Request", bound=Waiting)


class Counters:
    """Tokens granted, by party."""

    def __init__(self) -> None:
        self._granted: dict[str, float] = {}
        self._floor = 0.0
        """The counter of who was served last, before it was charged."""

    def __len__(self) -> int:
        return len(self._granted)

    def join(self, party: str, waiting: Collection[str]) -> None:
        """A party has a request, after having had none."""
        if len(self._granted) >= _MOST_COUNTERS:
            self._forget(waiting)
        self._granted[party] = max(self._granted.get(party, 0.0), self._floor)

    def least(self, waiting: Collection[str]) -> str:
        """Who is next: the fewest tokens, among equals the one that waits longest."""
        return min(waiting, key=self._granted.__getitem__)

    def charge(self, party: str, tokens: int) -> None:
        """Count what a party is granted."""
        self._floor = max(self._floor, self._granted[party])
        self._granted[party] += tokens

    def refund(self, party: str, tokens: int) -> None:
        """Give back what a party was granted and did not use."""
        if party in self._granted:
            self._granted[party] -= tokens

    def _forget(self, waiting: Collection[str]) -> None:
        """Drop counters that `join` would lift anyway; when there are none, the older half of those who do not wait."""
        idle = [party for party in self._granted if party not in waiting]
        lifted = [party for party in idle if self._granted[party] <= self._floor]
        for party in lifted or idle[: len(idle) // 2]:
            del self._granted[party]


class FairQueue(Generic[Request]):
    """Requests that wait, and what everybody was granted so far."""

    def __init__(self) -> None:
        self._waiting: dict[str, dict[str, OrderedDict[Request, None]]] = {}
        """By profile and caller, in the order they came."""
        self._profiles = Counters()
        self._callers: dict[str, Counters] = {}
        self.requests = 0
        self.tokens = 0

    def add(self, request: Request) -> None:
        """Queue a request."""
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
        """Everybody who waits."""
        for callers in self._waiting.values():
            for requests in callers.values():
                yield from requests

    def first(self) -> Request | None:
        """The request whose turn it is."""
        if not self._waiting:
            return None
        profile = self._profiles.least(self._waiting)
        callers = self._waiting[profile]
        return next(iter(callers[self._callers[profile].least(callers)]))

    def grant(self, request: Request) -> None:
        """Take a request off the queue and charge it."""
        request.contended = (len(self._waiting) > 1, len(self._waiting[request.profile]) > 1)
        self._profiles.charge(request.profile, request.tokens)
        self._callers[request.profile].charge(request.caller_id, request.tokens)
        self.remove(request)

    def remove(self, request: Request) -> None:
        """Take a request off the queue that gives up."""
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

        Not those of a time when nobody else waited: they would be a claim against those who came since.
        """
        among_profiles, among_callers = request.contended
        if among_profiles:
            self._profiles.refund(request.profile, unused)
        if among_callers:
            self._callers[request.profile].refund(request.caller_id, unused)
