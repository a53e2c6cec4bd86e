"""Which policies the service answers with, and which of them a request by profile gets."""

from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from policies.manifest import Named, PolicyManifest
from policies.mixing import MIXTURE
from policies.names import no_such_profile
from policies.store import Decoding, PolicyStore
from policies.weights import Weights
from rewards.errors import FgctlError
from service.domain.hash_sampling import drawn
from service.errors import NotFound, Unavailable

_adapter_ids = count(1)


@dataclass(frozen=True)
class ServedPolicy:
    """One version of one profile, or a mixture, as the engine knows it."""

    profile: str
    version: str
    weights: Weights
    decoding: Decoding
    path: Path
    manifest: PolicyManifest
    adapter_id: int = field(default_factory=lambda: next(_adapter_ids))
    """Unique in this process and never reused: the engine's prefix cache tells adapters apart by name and id."""

    @property
    def adapter_name(self) -> str:
        """The engine's name of the adapter, as immutable as the version."""
        return f"{self.profile}@{self.version}"

    @property
    def label(self) -> str:
        """The version as a metric's label: one for all mixtures, of which there may be hundreds."""
        return MIXTURE if self.profile == MIXTURE else self.version

    def as_json(self) -> dict[str, Any]:
        """The policy in a list of profiles."""
        return {
            "profile": self.profile,
            "policy": {"name": self.profile, "version": self.version},
            "weights": rounded(self.weights),
            "decoding": self.decoding.model_dump(),
            "scores": self.manifest.figures,
        }


@dataclass(frozen=True)
class Canary:
    """A version that gets a share of its profile's traffic."""

    policy: ServedPolicy
    share: float

    def takes(self, caller: str) -> bool:
        """Whether a caller is among those who get it: always the same ones, others for another version."""
        return drawn(f"{self.policy.adapter_name}:{caller}", self.share)


@dataclass
class Roster:
    """The policies by profile: those that are served, their canaries, and what is wrong with the others."""

    served: dict[str, ServedPolicy] = field(default_factory=dict)
    canaries: dict[str, Canary] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    """Profiles that nothing can be served for, and why."""
    refused: dict[str, str] = field(default_factory=dict)
    """Profiles with a newer version, or a canary, that cannot be served while an older one is, and why."""

    def choose(self, profile: str, caller: str) -> ServedPolicy:
        """The policy for a profile.

        Raises NotFound for an unknown profile, Unavailable for one whose policy is broken.
        """
        if profile in self.served:
            canary = self.canaries.get(profile)
            return canary.policy if canary and canary.takes(caller) else self.served[profile]
        if profile in self.broken:
            raise Unavailable(f"Profile {profile!r} cannot be served now: {self.broken[profile]}", "profile")
        raise NotFound(no_such_profile(profile, self.served), "profile")

    def policies(self) -> list[ServedPolicy]:
        """Every policy of the roster, canaries included."""
        return [*self.served.values(), *(canary.policy for canary in self.canaries.values())]

    def version(self, profile: str, version: str) -> ServedPolicy | None:
        """A policy of the roster by name; None where it is not among them."""
        return next((p for p in self.policies() if (p.profile, p.version) == (profile, version)), None)

    def with_weights(self, wanted: Weights) -> ServedPolicy | None:
        """The served policy that was trained for these weights, if any was."""
        return next((policy for policy in self.served.values() if policy.weights.same_as(wanted)), None)


def stored_policy(
    store: PolicyStore, base: Named, name: str, version: str, decoding: Decoding, weights: Weights | None = None
) -> ServedPolicy:
    """A stored version after checking its content, with its own weights unless given others. Raises FgctlError."""
    path, manifest = store.verify(name, version, base), store.manifest(name, version)
    weights = weights or manifest.weights
    if weights is None:
        raise FgctlError(f"{name}@{version} has no weights; serve a policy that `fgctl train` wrote.")
    return ServedPolicy(name, version, weights, decoding, path, manifest)


def rounded(weights: Weights) -> dict[str, float]:
    """Weights for a reader."""
    return {category: round(value, 3) for category, value in weights.as_dict().items()}
