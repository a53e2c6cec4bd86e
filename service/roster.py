"""Which policies the service answers with, and which policy a request gets."""

from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from policies.base import BaseModel
from policies.store import SFT, Decoding, Named, PolicyManifest, PolicyStore
from policies.weights import Weights
from rewards.categories import Category
from rewards.errors import FgctlError
from service.errors import Invalid, NotFound, Unavailable
from service.selection import DEFAULT_PROFILE, Selection

_adapter_ids = count(1)


@dataclass(frozen=True)
class ServedPolicy:
    """One version of one profile, as the engine knows it."""

    profile: str
    version: str
    weights: Weights
    decoding: Decoding
    path: Path
    manifest: PolicyManifest
    adapter_id: int
    """Unique in this process and never reused: the engine's prefix cache tells adapters apart by name and id."""

    @property
    def adapter_name(self) -> str:
        """The engine's name of the adapter, as immutable as the version."""
        return f"{self.profile}@{self.version}"

    def as_json(self) -> dict[str, Any]:
        """The policy in a list of profiles."""
        return {
            "profile": self.profile,
            "policy": {"name": self.profile, "version": self.version},
            "weights": rounded(self.weights),
            "decoding": self.decoding.model_dump(),
            "scores": {name: value for name, value in self.manifest.scores.items() if name != "per_question"},
        }


@dataclass
class Roster:
    """The policies of the store: those that can be served, and why the others cannot."""

    served: dict[str, ServedPolicy]
    broken: dict[str, str]
    categories: tuple[Category, ...]
    """What weights may name."""

    @classmethod
    def of(cls, store: PolicyStore, base: BaseModel, categories: tuple[Category, ...]) -> "Roster":
        """Check the current version of every profile. Raises BrokenPolicy when `profiles.toml` cannot be read."""
        roster = cls({}, {}, categories)
        for name, profile in store.profiles().items():
            if name == SFT:
                continue
            try:
                path = store.verify(name, profile.version, Named(name=base.name, digest=base.digest))
                manifest = store.manifest(name, profile.version)
                weights = profile.weights or manifest.weights
                if weights is None:
                    raise FgctlError(f"Profile {name} has no weights; promote a policy that `fgctl train` wrote.")
            except FgctlError as error:
                roster.broken[name] = str(error)
                continue
            roster.served[name] = ServedPolicy(
                name, profile.version, weights, profile.decoding, path, manifest, next(_adapter_ids)
            )
        return roster

    def refuse(self, profile: str, reason: str) -> None:
        """Stop serving a profile that the engine cannot answer with."""
        self.served.pop(profile, None)
        self.broken[profile] = reason

    def choose(self, selection: Selection) -> ServedPolicy:
        """The policy that is selected.

        Raises NotFound for an unknown profile, Invalid for weights that no profile has, Unavailable for a profile whose
        policy is broken.
        """
        if selection.weights is not None:
            return self._by_weights(selection.weights)
        name = DEFAULT_PROFILE if selection.profile is None else selection.profile
        if name in self.served:
            return self.served[name]
        if name in self.broken:
            raise Unavailable(f"Profile {name!r} cannot be served now: {self.broken[name]}", "profile")
        known = ", ".join(self.served) or "none yet"
        raise NotFound(f"There is no profile {name[:64]!r}; choose one of {known}.", "profile")

    def _by_weights(self, wanted: Weights) -> ServedPolicy:
        for policy in self.served.values():
            if policy.weights.same_as(wanted):
                return policy
        known = "; ".join(f"{name} {policy.weights}" for name, policy in self.served.items())
        raise Invalid(f"No policy with these weights is served; choose {known or 'none yet'}.", "weights")


def rounded(weights: Weights) -> dict[str, float]:
    """Weights for a reader."""
    return {category: round(value, 3) for category, value in weights.as_dict().items()}
