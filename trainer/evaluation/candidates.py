"""What can be evaluated: a stored version of a profile or of the supervised parent, or the base model."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from policies.base import BaseModel
from policies.manifest import Named
from policies.store import SFT, Decoding, PolicyStore
from policies.weights import Weights

BASE = "base"
"""Stands for the base model without any adapter."""


@dataclass(frozen=True)
class Candidate:
    """What to evaluate: a stored version of a profile or of the supervised parent, or the base."""

    name: str
    version: str
    weights: Weights
    """By which `weighted_reward` is summed; the parent and the base, which have none, are given some."""
    decoding: Decoding = field(default_factory=Decoding)
    """How it is sampled where it is served."""


def candidate(store: PolicyStore, name: str, fallback: Weights, base: BaseModel) -> Candidate:
    """The candidate of that name, `NAME` for the current version of a profile or `NAME@VERSION` for any stored one.

    Raises FgctlError when there is none, or it belongs to another base.
    """
    if name == BASE:
        return Candidate(BASE, base.digest[:12], fallback)
    profile, _, version = name.partition("@")
    if version:
        known, weights = store.profiles().get(profile), store.manifest(profile, version).weights
    else:
        known = store.profile(profile)
        version, weights = known.version, known.weights
    store.verify(profile, version, Named(name=base.name, digest=base.digest))
    return Candidate(profile, version, weights or fallback, known.decoding if known else Decoding())


def supervised_first(names: Sequence[str]) -> list[str]:
    """Names of candidates with the supervised parent first, as the others are compared with it, then as they come."""
    return sorted(names, key=lambda name: name.partition("@")[0] != SFT)
