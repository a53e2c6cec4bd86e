"""Everything that can be checked of a stored policy without loading its base model."""

import re

from policies.adapter import LoraAdapter
from policies.manifest import PolicyManifest
from policies.store import ADAPTER, SFT, BrokenPolicy, PolicyStore, is_name
from rewards.dataset import file_digest
from rewards.errors import FgctlError

_SHA256 = re.compile(r"[0-9a-f]{64}")


def stored_policies(store: PolicyStore, profile: str | None = None) -> list[tuple[str, str]]:
    """Every profile and version with a directory, broken or not, and those that `profiles.toml` names.

    Raises FgctlError when there is none of a given profile.
    """
    directories = {(path.parent.name, path.name) for path in store.root.glob("*/*/")}
    named = {(name, current.version) for name, current in store.profiles().items()}
    found = sorted(one for one in directories | named if all(map(is_name, one)) and profile in (None, one[0]))
    if profile is not None and not found:
        store.profile(profile)
    return found


def problem(store: PolicyStore, profile: str, version: str) -> str | None:
    """The first thing that is wrong with a stored version, in a sentence; None when it is sound."""
    try:
        manifest, directory = store.manifest(profile, version), store.verify(profile, version)
        if (manifest.profile, manifest.version) != (profile, version):
            raise BrokenPolicy(f"{directory} says that it is {manifest.profile}@{manifest.version}; restore it.")
        if not _SHA256.fullmatch(manifest.base.digest):
            raise BrokenPolicy(f"{directory} does not name its base by a digest; train the policy again.")
        _check_parent(store, manifest)
        LoraAdapter(directory).check()
    except FgctlError as error:
        return str(error)
    return None


def _check_parent(store: PolicyStore, manifest: PolicyManifest) -> None:
    if manifest.parent is None:
        return
    file = store.path(SFT, manifest.parent.version) / ADAPTER
    name = f"{manifest.profile}@{manifest.version}"
    if not file.is_file():
        raise BrokenPolicy(f"The parent of {name}, {SFT}@{manifest.parent.version}, is not stored; restore it.")
    if file_digest(file) != manifest.parent.digest:
        raise BrokenPolicy(f"{SFT}@{manifest.parent.version} is not the adapter {name} began from; restore it.")
