"""Which responses are scored: a share of each profile's, drawn by their ids."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ScoringShares:
    """Shares of the answers that are scored, from 0 to 1."""

    default: float = 1.0
    profiles: Mapping[str, float] = field(default_factory=dict)
    """Of the profiles that have one of their own."""

    def of(self, profile: str) -> float:
        """The share of a profile's answers that is scored."""
        return self.profiles.get(profile, self.default)
