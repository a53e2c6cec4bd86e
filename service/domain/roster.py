"""The policies that are served, by profile."""

from dataclasses import dataclass, field

from policies.weights import Weights
from service.domain.policy import Canary, ServedPolicy


@dataclass
class Roster:
    """Each profile's current version and canary, and what is wrong with those that cannot be served."""

    served: dict[str, ServedPolicy] = field(default_factory=dict)
    parent: ServedPolicy | None = None
    """The supervised parent that is merged into the engine's model, which answers for it without an adapter."""
    canaries: dict[str, Canary] = field(default_factory=dict)
    anchors: dict[str, ServedPolicy] = field(default_factory=dict)
    """Current versions of profiles that are mixed but cannot be asked for by name. The engine does not hold them."""
    broken: dict[str, str] = field(default_factory=dict)
    """Profiles for which no version can be served, with the reason."""
    refused: dict[str, str] = field(default_factory=dict)
    """Profiles whose newer version or canary cannot be served while an older version is, and anchors that cannot be
    mixed, with the reason."""

    def policies(self) -> list[ServedPolicy]:
        """Every policy whose adapter the engine holds, canaries included."""
        return [*self.served.values(), *(canary.policy for canary in self.canaries.values())]

    def mixable(self) -> list[ServedPolicy]:
        """The policies that mixtures may be made of."""
        return [*self.served.values(), *self.anchors.values()]

    def version(self, profile: str, version: str) -> ServedPolicy | None:
        """A policy of the roster by profile and version; None where it is not on the roster."""
        policies = [*self.policies(), *([self.parent] if self.parent else [])]
        return next((p for p in policies if (p.profile, p.version) == (profile, version)), None)

    def drop(self, policy: ServedPolicy) -> None:
        """Serve a policy no more that was lost."""
        canary = self.canaries.get(policy.profile)
        if canary is not None and canary.policy.version == policy.version:
            del self.canaries[policy.profile]
        else:
            del self.served[policy.profile]
            self.broken[policy.profile] = f"{policy.adapter_name} could not be loaded again; promote another version."

    def with_weights(self, weights: Weights) -> ServedPolicy | None:
        """The served policy that was trained for these weights; None where there is none."""
        return next((policy for policy in self.served.values() if policy.weights.same_as(weights)), None)
