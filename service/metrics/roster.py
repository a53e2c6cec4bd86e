"""What metrics read of the roster, so that they need not know how one is made."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from service.served.roster import Canary, ServedPolicy


class CurrentRoster(Protocol):
    """The policies by profile: those that are served, their canaries, and those that cannot be served."""

    @property
    def served(self) -> Mapping[str, ServedPolicy]: ...

    @property
    def canaries(self) -> Mapping[str, Canary]: ...

    @property
    def refused(self) -> Collection[str]: ...

    @property
    def broken(self) -> Collection[str]: ...

    def policies(self) -> Sequence[ServedPolicy]:
        """The served policies and the canaries."""
        ...
