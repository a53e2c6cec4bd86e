"""A stored version, checked and ready to be loaded."""

from policies.adapters.base_modules import BaseModules
from policies.manifest import Named
from policies.store import Decoding, PolicyStore
from policies.weights import Weights
from rewards.errors import FgctlError
from service.domain.policy import ServedPolicy


def stored_policy(
    store: PolicyStore,
    base: Named,
    name: str,
    version: str,
    decoding: Decoding,
    weights: Weights | None = None,
    modules: BaseModules | None = None,
) -> ServedPolicy:
    """A stored version after checking its content and its adapter, with its own weights unless given others.

    `modules` are the base's, where they are known. Raises FgctlError.
    """
    path, manifest = store.usable(name, version, base, modules), store.manifest(name, version)
    weights = weights or manifest.weights
    if weights is None:
        raise FgctlError(f"{name}@{version} has no weights; serve a policy that `fgctl train` wrote.")
    return ServedPolicy(name, version, weights, decoding, path, manifest)
