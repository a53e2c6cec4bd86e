"""A policy store behind a URL, and its mirror: the verified copy on this machine, which everything is read from.

The mirror has the manifests, `profiles.toml` and the ledger as they were when the store last answered, and the adapters
that somebody has asked for. An adapter enters it only if its content has the digest that its name and its manifest say.
While the store is away, the mirror is what there is, so that serving goes on.
"""

import hashlib
import json
import logging
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from policies.adapters.configuration import ADAPTER_CONFIG
from policies.adapters.digest import digest_of
from policies.adapters.lora import ADAPTER
from policies.base import cache_directory
from policies.errors import BrokenPolicy
from policies.names import is_name
from policies.store.objects import Objects, StoreAway, e_tag, open_objects
from policies.store.replace_file import replace_file

logger = logging.getLogger(__name__)

_INDEX = "objects.json"
_FRESH = 1.0
"""Seconds for which a listing of the store serves those who only look."""
_VERSION_TEXTS = ("policy.json", "README.md")
_TEXTS = ("profiles.toml", "promotions.jsonl")


def mirror_of(url: str) -> Path:
    """Where the mirror of the store behind a URL is: in the cache."""
    return cache_directory() / "stores" / hashlib.sha256(url.rstrip("/").encode()).hexdigest()[:16]


class Origin:
    """Keeps a mirror up to date, and writes to the store first and then to the mirror."""

    def __init__(self, url: str, mirror: Path, objects: Objects | None = None) -> None:
        """Raises StoreAway for a URL that names no store."""
        self.url = url
        self._mirror = mirror
        self._objects = objects or open_objects(url.rstrip("/"))
        self._listed_at: float | None = None
        self._tags: dict[str, str] = {}
        """The tags of the mirror's texts, and of everything that the store holds."""
        self._away = self._held = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Bring the mirror up to date and keep it so: what was read is replaced, or nothing. Raises StoreAway."""
        self.refresh(strict=True)
        self._held = True
        try:
            yield
        finally:
            self._held = False

    def refresh(self, *, now: bool = True, strict: bool = False) -> None:
        """Bring the mirror's texts up to date. Without `now`, a listing of the last second will do.

        While the store is away, the mirror stays as it was; with `strict`, or without a mirror, StoreAway is raised.
        """
        recent = self._listed_at is not None and time.monotonic() - self._listed_at < _FRESH
        if not now and (self._held or recent):
            return
        self._mirror.mkdir(parents=True, exist_ok=True)
        # One at a time, so that no older content follows a newer one.
        with FileLock(self._mirror / f"{_INDEX}.lock"):
            before = self._remembered()
            try:
                tags = self._objects.tags()
                for key in filter(_is_text, tags):
                    known = before.get(key, "")
                    if e_tag(known) == e_tag(tags[key]) and (self._mirror / key).is_file():
                        tags[key] = known  # which may say more than a listing
                        continue
                    content = self._objects.read(key)
                    tags[key] = content.tag
                    self._write(key, content.data)
            except FileNotFoundError:  # removed between two requests; the next listing lacks it
                return
            except StoreAway as error:
                self._tags = before
                if strict or not before:
                    raise
                if not self._away:
                    logger.error("%s Going on with its copy in %s.", error, self._mirror)
                self._away = True
                self._listed_at = time.monotonic()
                return
            for key in filter(_is_text, before.keys() - tags.keys()):
                (self._mirror / key).unlink(missing_ok=True)
            self._tags = tags
            replace_file(self._mirror / _INDEX, json.dumps(tags))
        if self._away:
            logger.warning("the policy store %s answers again", self.url)
        self._away, self._listed_at = False, time.monotonic()

    def holds(self, profile: str, version: str) -> bool:
        """Whether the store has a version, by the latest listing."""
        return f"{profile}/{version}/{_VERSION_TEXTS[0]}" in self._tags

    def versions(self) -> list[tuple[str, str]]:
        """Profile and version of everything that the store has, by the latest listing."""
        parts = [key.split("/") for key in self._tags]
        return sorted({(p[0], p[1]) for p in parts if len(p) == 3 and is_name(p[0]) and is_name(p[1])})

    def fetch(self, profile: str, version: str, digest: str | None) -> None:
        """Put a version's adapter into the mirror. `digest` is the one that its manifest says, if it does.

        Raises BrokenPolicy for an adapter that is missing or is not what its name says, and StoreAway.
        """
        directory = self._mirror / profile / version
        directory.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".new-", dir=directory.parent))
        try:
            self._download(profile, version, digest, scratch)
            for name in (ADAPTER_CONFIG, ADAPTER):
                (scratch / name).replace(directory / name)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def check(self, profile: str, version: str, digest: str | None) -> None:
        """Read a version's adapter from the store once more. Raises like `fetch`."""
        with tempfile.TemporaryDirectory() as scratch:
            self._download(profile, version, digest, Path(scratch))

    def upload(self, directory: Path) -> None:
        """Store a version that is complete in the mirror: its manifest last, so that it is there whole or not at all.

        Raises StoreAway.
        """
        prefix = f"{directory.parent.name}/{directory.name}"
        for name in (ADAPTER, ADAPTER_CONFIG, *reversed(_VERSION_TEXTS)):
            self._objects.upload(directory / name, f"{prefix}/{name}")
        self.refresh()

    def replace(self, file: Path, text: str) -> None:
        """Replace a text in the store, unless somebody else has since it was last refreshed, and then in the mirror.

        Raises Changed and StoreAway.
        """
        key = file.relative_to(self._mirror).as_posix()
        self._tags[key] = self._objects.replace(key, text.encode(), self._tags.get(key))
        with FileLock(self._mirror / f"{_INDEX}.lock"):
            self._write(key, text.encode())
            replace_file(self._mirror / _INDEX, json.dumps(self._remembered() | {key: self._tags[key]}))

    def signature(self) -> str | None:
        """What changes with the store's `profiles.toml`; None while it cannot be asked."""
        try:
            return self._objects.tag(_TEXTS[0])
        except (StoreAway, FileNotFoundError):
            return None

    def _download(self, profile: str, version: str, digest: str | None, directory: Path) -> None:
        name = f"{profile}@{version}"
        try:
            for part in (ADAPTER_CONFIG, ADAPTER):
                self._objects.download(f"{profile}/{version}/{part}", directory / part)
        except FileNotFoundError:
            raise BrokenPolicy(f"{name}: the adapter is missing in {self.url}; push it again.") from None
        actual = digest_of(directory)
        if actual is None or not actual.startswith(version) or digest not in (None, actual):
            raise BrokenPolicy(f"{name}: the adapter in {self.url} is not the one that was stored; push it again.")

    def _remembered(self) -> dict[str, str]:
        try:
            tags: dict[str, str] = json.loads((self._mirror / _INDEX).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return tags

    def _write(self, key: str, data: bytes) -> None:
        file = self._mirror / key
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, data.decode("utf-8", "replace"))


def _is_text(key: str) -> bool:
    *directories, name = key.split("/")
    if not directories:
        return name in _TEXTS
    return len(directories) == 2 and name in _VERSION_TEXTS and all(map(is_name, directories))
