"""Versions from one store to another: each is verified before it leaves and after it has arrived."""

from collections.abc import Callable, Sequence

from policies.names import SFT
from policies.store.policy_store import PolicyStore
from rewards.errors import FgctlError

Progress = Callable[[int], None]


def chosen_versions(store: PolicyStore, names: Sequence[str]) -> list[tuple[str, str]]:
    """The versions that names stand for, `PROFILE` or `PROFILE@VERSION`, or all; parents come first.

    With each version comes the parent that it needs. Raises FgctlError for what is not stored, and without names for a
    store that has nothing.
    """
    if not (names := names or store.stored_profiles()):
        raise FgctlError(f"The store {store.url or store.root} has no policies; check its name.")
    chosen: dict[tuple[str, str], None] = {}
    for name in names:
        profile, _, version = name.partition("@")
        versions = [version] if version else store.versions(profile)
        if not versions:
            raise FgctlError(f"{name[:64]!r} is not stored; choose one that `fgctl policies list` shows.")
        for number in versions:
            parent = store.manifest(profile, number).parent
            if parent is not None:
                chosen[SFT, parent.version] = None
            chosen[profile, number] = None
    return sorted(chosen, key=lambda policy: policy[0] != SFT)


def copy_versions(
    source: PolicyStore, target: PolicyStore, versions: Sequence[tuple[str, str]], progress: Progress = lambda _: None
) -> int:
    """Copy versions that the target lacks, and verify what it has then; run again, it goes on. Returns how many.

    Raises BrokenPolicy for a version that is broken at either end, and StoreAway.
    """
    copied = 0
    for number, (profile, version) in enumerate(versions, 1):
        directory = source.verify(profile, version)
        if target.adopt(source.manifest(profile, version), directory):
            copied += 1
            target.check_stored(profile, version)
        progress(number)
    return copied
