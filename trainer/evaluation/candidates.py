"""What can be evaluated: a stored version of a profile or of the supervised parent, or the base model."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from policies.base import BaseModel
from policies.manifest import Named
from policies.store import SFT, Decoding, PolicyStore
from policies.weights import Weights

BASE = "base"
"""Names the base model without an adapter."""


@dataclass(frozen=True)
class Candidate:
    """A policy to evaluate."""

    name: str
    version: str
    weights: Weights
    """The weights of `weighted_reward`; parent and base, which have none of their own, get the caller's."""
    decoding: Decoding = field(default_factory=Decoding)
    """How it is sampled in service."""


def candidate(store: PolicyStore, name: str, fallback: Weights, base: BaseModel) -> Candidate:
    """The candidate of that name: `NAME` for a profile's current version, or `NAME@VERSION` for any stored one.

    Raises FgctlError when there is none, or when it belongs to another base.
    """
    if name == BASE:
        return Candidate(BASE, base.digest[:12], fallback)
    profile, _, version = name.partition("@")
    if version:
        current, weights = store.profiles().get(profile), store.manifest(profile, version).weights
    else:
        current = store.profile(profile)
        version, weights = current.version, current.weights
    store.verify(profile, version, Named(name=base.name, digest=base.digest))
    return Candidate(profile, version, weights or fallback, current.decoding if current else Decoding())


def supervised_first(names: Sequence[str]) -> list[str]:
    """Candidates' names with the supervised parent first, because the others are compared with it."""
    return sorted(names, key=lambda name: name.partition("@")[0] != SFT)
