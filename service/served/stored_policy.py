"""A stored version, checked and ready to be loaded; and the parent that the engine's model holds already."""

from collections.abc import Sequence
from contextlib import suppress

from policies.adapters.base_modules import BaseModules
from policies.manifest import Named
from policies.store import SFT, Decoding, PolicyStore, Profile
from policies.trunk import trunk_name
from policies.weights import Weights
from rewards.categories import BUILT_IN
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
    manifest = store.manifest(name, version)
    if manifest.base.digest != base.digest:
        raise FgctlError(_of_another_base(f"{name}@{version}", manifest.base, base))
    path, weights = store.usable(name, version, base, modules), weights or manifest.weights
    if weights is None:
        raise FgctlError(f"{name}@{version} has no weights; serve a policy that `fgctl train` wrote.")
    return ServedPolicy(name, version, weights, decoding, path, manifest)


def merged_parent(
    store: PolicyStore, base: Named, policies: Sequence[ServedPolicy], current: Profile | None
) -> tuple[ServedPolicy | None, str | None]:
    """The parent that is merged into `base`, and why it is not the current one; None where there is nothing to say.

    `policies` are the served ones, which name their parent. The parent has equal weights, by which the best of several
    answers is chosen, as it was trained for none.
    """
    versions = {policy.manifest.parent.version: None for policy in policies if policy.manifest.parent}
    versions |= {current.version: None} if current else {}
    parent = reason = None
    for version in versions:
        with suppress(FgctlError):  # whoever needs a broken parent is broken and says so
            trunk = trunk_name(store, version)
            if trunk is None:
                continue
            if trunk.digest == base.digest:
                decoding, weights = current.decoding if current else Decoding(), dict.fromkeys(BUILT_IN, 1.0)
                manifest, path = store.manifest(SFT, version), store.path(SFT, version)
                parent = ServedPolicy(SFT, version, Weights(weights), decoding, path, manifest)
            elif current and version == current.version:
                reason = _of_another_base(f"{SFT}@{version}", trunk, base)
    return parent, reason


def _of_another_base(name: str, own: Named, base: Named) -> str:
    return (
        f"{name} belongs to the model {own.short}, and the engine runs {base.short}; promote a policy of "
        f"{own.short} for every profile, and restart the service."
    )
