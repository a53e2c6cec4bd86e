"""The policies that requests are answered by: those of the roster, found for what a request selects."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from service.roster import Roster, ServedPolicy
from service.selection import Selection


class Catalogue:
    """Finds the policy of a request, and knows which policies are in use."""

    def __init__(self, roster: Roster) -> None:
        self.roster = roster
        self._in_use: Counter[int] = Counter()

    async def choose(self, selection: Selection) -> ServedPolicy:
        """The policy for a selection. Raises ServiceError where there is none."""
        return self.roster.choose(selection)

    @contextmanager
    def using(self, policy: ServedPolicy) -> Iterator[None]:
        """Keep a policy from being unloaded while a request is answered by it."""
        self._in_use[policy.adapter_id] += 1
        try:
            yield
        finally:
            self._in_use[policy.adapter_id] -= 1
            if not self._in_use[policy.adapter_id]:
                del self._in_use[policy.adapter_id]
