"""Policies as the engine knows them: a version of a profile, or a mixture, and the canary beside it."""

from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from policies.manifest import PolicyManifest
from policies.mixing import MIXTURE
from policies.store import Decoding
from policies.weights import Weights
from service.domain.hash_sampling import drawn

_adapter_ids = count(1)


@dataclass(frozen=True)
class ServedPolicy:
    """One version of one profile, or a mixture."""

    profile: str
    version: str
    weights: Weights
    decoding: Decoding
    path: Path
    manifest: PolicyManifest
    adapter_id: int = field(default_factory=lambda: next(_adapter_ids))
    """Unique in this process and never reused: the engine's prefix cache tells adapters apart by name and id."""

    @property
    def merged(self) -> bool:
        """Whether it is the parent that is merged into the engine's model, which then answers without an adapter."""
        return self.manifest.merged

    @property
    def adapter_name(self) -> str:
        """The engine's name of the adapter, as immutable as the version."""
        return f"{self.profile}@{self.version}"

    @property
    def version_label(self) -> str:
        """The version as the value of a metric's label: one value for all mixtures, of which there may be hundreds."""
        return MIXTURE if self.profile == MIXTURE else self.version


@dataclass(frozen=True)
class Canary:
    """A version that gets a share of its profile's traffic."""

    policy: ServedPolicy
    share: float

    def takes(self, caller_id: str) -> bool:
        """Whether a caller gets the canary. It is always the same callers for one version."""
        return drawn(f"{self.policy.adapter_name}:{caller_id}", self.share)


def rounded(weights: Weights) -> dict[str, float]:
    """Weights by category name, rounded for readers."""
    return {category: round(value, 3) for category, value in weights.as_dict().items()}
