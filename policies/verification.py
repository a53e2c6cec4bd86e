"""What can be checked of a stored policy without loading its base model's weights."""

import re
from collections.abc import Iterable

from policies.base import local_path
from policies.manifest import PolicyManifest
from policies.names import SFT
from policies.store import ADAPTER, BrokenPolicy, PolicyStore
from policies.trunk import trunk_name
from rewards.dataset import file_digest
from rewards.errors import FgctlError

_SHA256 = re.compile(r"[0-9a-f]{64}")


def stored_policies(store: PolicyStore, profile: str | None = None) -> list[tuple[str, str]]:
    """Profile and version of everything stored, broken or not, and of what `profiles.toml` names; or of one profile.

    Raises FgctlError for a profile of which there is nothing.
    """
    stored = {(path.parent.name, path.name) for path in store.directories()}
    named = {(name, current.version) for name, current in store.profiles().items()}
    policies = sorted(policy for policy in stored | named if profile in (None, policy[0]))
    if profile is not None and not policies:
        store.profile(profile)
    return policies


def problem(store: PolicyStore, profile: str, version: str) -> str | None:
    """The first thing that is wrong with a stored version, as a sentence; None when it is sound."""
    name = f"{profile}@{version}"
    try:
        manifest = store.manifest(profile, version)
        store.verify(profile, version)
        if (manifest.profile, manifest.version) != (profile, version):
            raise BrokenPolicy(f"{name} claims to be {manifest.profile}@{manifest.version}; restore it.")
        if not _SHA256.fullmatch(manifest.base.digest):
            raise BrokenPolicy(f"{name} does not name its base by a digest; train the policy again.")
        _check_parent(store, manifest)
        store.usable(profile, version)
    except FgctlError as error:
        return str(error)
    return None


def absent_bases(store: PolicyStore, policies: Iterable[tuple[str, str]]) -> list[str]:
    """The names of these policies' bases that are not on this machine, so that shapes cannot be compared with them."""
    bases = set()
    for profile, version in policies:
        if (manifest := store.intact(profile, version)) is not None:
            bases.add(store.plain_base(manifest))
    return sorted(base.name for base in bases if local_path(base.name, base.digest) is None)


def _check_parent(store: PolicyStore, manifest: PolicyManifest) -> None:
    if manifest.parent is None:
        return
    store.intact(SFT, manifest.parent.version)  # which fetches it from a store behind a URL
    file = store.path(SFT, manifest.parent.version) / ADAPTER
    name = f"{manifest.profile}@{manifest.version}"
    if not file.is_file():
        raise BrokenPolicy(f"The parent of {name}, {SFT}@{manifest.parent.version}, is not stored; restore it.")
    if file_digest(file) != manifest.parent.digest:
        raise BrokenPolicy(f"{SFT}@{manifest.parent.version} is not the adapter {name} began from; restore it.")
    base = trunk_name(store, manifest.parent.version) or store.manifest(SFT, manifest.parent.version).base
    if manifest.base.digest != base.digest:
        raise BrokenPolicy(
            f"{name} was trained on {manifest.base.name!r}, but {SFT}@{manifest.parent.version}, its parent, belongs "
            f"to {base.name!r}; train it again."
        )
