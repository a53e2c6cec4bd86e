"""Mixtures on disk, under content-hash names, so that each is computed once. The least recently used are removed."""

import logging
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

from policies.manifest import PolicyManifest
from policies.mixing import MIXTURE, Mixture, store_mixture
from policies.store import BrokenPolicy, PolicyStore

logger = logging.getLogger(__name__)

_UNUSED_SECONDS = 600.0
"""A mixture used more recently stays, whatever the limit: a request may be about to use it."""
_NOTED_EVERY = 60.0
"""Seconds between two notes on disk that a mixture is in use, which other processes read."""


class MixtureCache:
    """A policy store of mixtures, and for each mixture the version that it makes.

    Several processes may share one: a recipe's file is written after the version that it names, and read before use.
    """

    def __init__(self, root: Path | str, limit: int) -> None:
        """`root` is a directory, or a URL that replicas share: then the limit is that of its mirror on this machine."""
        self._store = PolicyStore(root)
        self._index = self._store.root / "index"
        self._limit = limit
        self._noted: dict[str, float] = {}
        """When the use of each mixture was last noted, by the monotonic clock."""

    def get(self, mixture: Mixture, rank: int | None) -> tuple[PolicyManifest, Path, bool]:
        """A mixture's manifest and directory, and whether it was on disk already. Raises FgctlError."""
        file = self._index / mixture.key(rank)
        try:
            version = file.read_text(encoding="ascii")
            manifest, path = self._store.manifest(MIXTURE, version), self._store.verify(MIXTURE, version)
            os.utime(file)
        except (OSError, UnicodeDecodeError, BrokenPolicy):
            manifest = store_mixture(self._store, mixture, rank)
            self._index.mkdir(parents=True, exist_ok=True)
            scratch = file.with_suffix(f".{os.getpid()}")
            scratch.write_text(manifest.version, encoding="ascii")
            scratch.replace(file)
            self._evict()
            return manifest, self._store.path(MIXTURE, manifest.version), False
        return manifest, path, True

    def path(self, version: str) -> Path:
        """The directory of a mixture that is on disk. Raises BrokenPolicy."""
        return self._store.verify(MIXTURE, version)

    def used(self, mixture: Mixture, rank: int | None) -> None:
        """Note that a mixture which the engine holds is used, so that it stays on disk."""
        key, now = mixture.key(rank), time.monotonic()
        if now - self._noted.get(key, -_NOTED_EVERY) >= _NOTED_EVERY:
            self._noted[key] = now
            with suppress(OSError):
                os.utime(self._index / key)

    def _evict(self) -> None:
        """Remove the least recently used beyond the limit."""
        stamped = []
        for file in self._index.iterdir():
            try:
                stamped.append((file.stat().st_mtime, file, file.read_text(encoding="ascii")))
            except OSError:  # another process has removed it
                continue
        stamped.sort(reverse=True)
        staying = {version for _, _, version in stamped[: self._limit]}
        for used, file, version in stamped[self._limit :]:
            if time.time() - used < _UNUSED_SECONDS:
                continue
            file.unlink(missing_ok=True)
            if version not in staying:
                shutil.rmtree(self._store.path(MIXTURE, version), ignore_errors=True)
