"""A stored version, checked and ready to be loaded."""

from policies.manifest import Named
from policies.store import Decoding, PolicyStore
from policies.weights import Weights
from rewards.errors import FgctlError
from service.domain.policy import ServedPolicy


def stored_policy(
    store: PolicyStore, base: Named, name: str, version: str, decoding: Decoding, weights: Weights | None = None
) -> ServedPolicy:
    """A stored version after checking its content, with its own weights unless given others. Raises FgctlError."""
    path, manifest = store.verify(name, version, base), store.manifest(name, version)
    weights = weights or manifest.weights
    if weights is None:
        raise FgctlError(f"{name}@{version} has no weights; serve a policy that `fgctl train` wrote.")
    return ServedPolicy(name, version, weights, decoding, path, manifest)
