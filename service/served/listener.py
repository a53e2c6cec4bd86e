"""What the resolver tells of the policies it serves."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal, Protocol

from service.domain.policy import ServedPolicy
from service.domain.roster import Roster

WeightsResult = Literal["trained", "resident", "loaded"]
"""How a request by weights was served: by a trained policy, a mixture that the engine held, or one that it loaded."""


class PolicyListener(Protocol):
    """Is told of policies as they come, go and are asked for; its methods must not wait."""

    def policies_available(self, policies: Iterable[ServedPolicy]) -> None:
        """Policies can be asked for from now on."""

    def roster_changed(self, roster: Roster, promoted: Mapping[str, datetime]) -> None:
        """The service answers by another roster; `promoted` is when each profile's version became current."""

    def policy_retired(self, policy: ServedPolicy) -> None:
        """A policy has left the roster."""

    def weights_requested(self, result: WeightsResult) -> None:
        """A request by weights has come."""

    def mixture_built(self) -> None:
        """A mixture was computed and stored."""
