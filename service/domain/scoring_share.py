"""Which share of each profile's responses is scored."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ScoringShares:
    """Shares of the responses that are scored, from 0 to 1."""

    default: float = 1.0
    profiles: Mapping[str, float] = field(default_factory=dict)
    """Shares of the profiles that differ from the default."""

    def of(self, profile: str) -> float:
        """The share of a profile's responses that is scored."""
        return self.profiles.get(profile, self.default)
