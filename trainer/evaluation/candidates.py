"""What can be evaluated: a stored version of a profile or of the supervised parent, or the base model."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from policies.base import BaseModel
from policies.store import SFT, Decoding, PolicyStore
from policies.trunk import PolicyFiles, policy_files
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
    files: PolicyFiles
    """What to load; nothing but the model for the base, and for a parent that is merged into it."""
    decoding: Decoding = field(default_factory=Decoding)
    """How it is sampled in service."""


def candidate(store: PolicyStore, name: str, fallback: Weights, base: BaseModel) -> Candidate:
    """The candidate of that name: `NAME` for a profile's current version, or `NAME@VERSION` for any stored one.

    Policies of different trunks can be candidates together. Raises FgctlError when there is none of that name, or when
    it belongs to another base.
    """
    if name == BASE:
        return Candidate(BASE, base.digest[:12], fallback, PolicyFiles(base, None))
    profile, _, version = name.partition("@")
    if version:
        current, weights = store.profiles().get(profile), store.manifest(profile, version).weights
    else:
        current = store.profile(profile)
        version, weights = current.version, current.weights
    files = policy_files(base, store, profile, version)
    return Candidate(profile, version, weights or fallback, files, current.decoding if current else Decoding())


def supervised_first(names: Sequence[str]) -> list[str]:
    """Candidates' names with the supervised parent first, because the others are compared with it."""
    return sorted(names, key=lambda name: name.partition("@")[0] != SFT)
