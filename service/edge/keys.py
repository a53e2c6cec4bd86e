"""API keys: a file with the hash, scopes and limits of each key, never the key itself.

    [keys.3f9a1c20]
    name = "answers app"
    sha256 = "9b74…"
    scopes = ["generate"]
    created = 2026-01-31T12:00:00Z
    requests_per_minute = 600

`fgctl keys` writes the file; a running service follows its changes.
"""

import hashlib
import hmac
import logging
import os
import secrets
import tempfile
import time
import tomllib
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import tomlkit
from filelock import FileLock
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rewards.errors import FgctlError
from service.domain.caller import Caller, Limits, Scope
from service.domain.names import name_problem

logger = logging.getLogger(__name__)

PREFIX = "fg_"
"""What every key begins with, so that secret scanners can find a leaked one in repositories and logs."""
_BYTES = 32
_CHECK_EVERY = 1.0
"""Seconds between checks for a changed file: how long a revoked key may still work."""


class Key(BaseModel):
    """A key's entry in the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=200)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    scopes: tuple[Scope, ...] = Field(min_length=1)
    created: datetime
    learn: bool = False
    """Whether its thumbs and comparisons move the weights that answer it."""
    concurrency: int | None = Field(None, ge=1)
    requests_per_minute: int | None = Field(None, ge=1)
    tokens_per_minute: int | None = Field(None, ge=1)

    def caller(self, key_id: str) -> Caller:
        """The caller that the key stands for."""
        limits = Limits(self.concurrency, self.requests_per_minute, self.tokens_per_minute)
        return Caller(f"key:{key_id}", frozenset(self.scopes), self.learn, limits)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    keys: dict[str, Key] = Field(default_factory=dict)


def digest(secret: str) -> str:
    """A key's SHA-256, which is stored and compared.

    A plain hash suffices: slow, salted hashes protect passwords, which can be guessed. A key has 256 random bits, and a
    slow hash would only let strangers keep the service busy.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


class KeyFile:
    """Reads and writes a key file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, Key]:
        """The keys by id. Raises FgctlError when the file is missing or invalid."""
        try:
            return _File.model_validate(tomllib.loads(self.path.read_text(encoding="utf-8"))).keys
        except FileNotFoundError:
            raise FgctlError(f"The key file {self.path} does not exist; add a key with `fgctl keys add`.") from None
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise FgctlError(f"The key file {self.path} is invalid ({where}: {first['msg']}); fix it.") from None
        except (OSError, ValueError) as error:
            raise FgctlError(f"The key file {self.path} cannot be read ({error}); fix it.") from None

    def add(self, name: str, scopes: Iterable[Scope], limits: Limits, *, learn: bool = False) -> tuple[str, str]:
        """Create a key; returns its id and the key itself, which is stored nowhere. Raises FgctlError."""
        if problem := name_problem(name):
            raise FgctlError(problem)
        secret = PREFIX + secrets.token_urlsafe(_BYTES)
        with self._locked():
            keys = self.read() if self.path.exists() else {}
            key_id = secrets.token_hex(4)
            while key_id in keys:
                key_id = secrets.token_hex(4)
            key = Key(
                name=name,
                sha256=digest(secret),
                scopes=tuple(dict.fromkeys(scopes)),
                created=datetime.now(UTC).replace(microsecond=0),
                learn=learn,
                concurrency=limits.concurrency,
                requests_per_minute=limits.requests_per_minute,
                tokens_per_minute=limits.tokens_per_minute,
            )
            self._write(keys | {key_id: key})
        return key_id, secret

    def revoke(self, key_id: str) -> Key:
        """Remove a key. Raises FgctlError for an unknown id."""
        with self._locked():
            keys = self.read()
            if key_id not in keys:
                ids = f"choose one of {', '.join(keys)}" if keys else "it has no keys"
                raise FgctlError(f"There is no key {key_id[:64]!r} in {self.path}; {ids}.")
            revoked = keys.pop(key_id)
            self._write(keys)
        return revoked

    def _locked(self) -> FileLock:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FgctlError(
                f"The folder {self.path.parent} cannot be created ({error.strerror}); choose another file with --keys."
            ) from None
        return FileLock(f"{self.path}.lock")

    def _write(self, keys: dict[str, Key]) -> None:
        """Replace the file in one step. Only its owner can read a new file; an existing one keeps its permissions."""
        table = {
            key_id: key.model_dump(exclude_none=True) | {"scopes": list(key.scopes)} for key_id, key in keys.items()
        }
        descriptor, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}")
        try:
            if self.path.exists():
                os.fchmod(descriptor, self.path.stat().st_mode & 0o777)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(tomlkit.dumps({"keys": table}))
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(self.path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


class Keyring:
    """The keys in use; follows changes of the key file."""

    def __init__(self, path: Path) -> None:
        """Raises FgctlError when the file cannot be read."""
        self._file = KeyFile(path)
        self._read_signature = self._signature()
        self._keys = _hashes_and_callers(self._file.read())
        self._checked_at = time.monotonic()

    def caller(self, secret: str) -> Caller | None:
        """The holder of this key, or None for an unknown key. The time it takes reveals nothing about stored keys."""
        self._follow()
        presented = digest(secret).encode()
        holder = None
        for stored, caller in self._keys:
            if hmac.compare_digest(stored, presented):
                holder = caller
        return holder

    def _follow(self) -> None:
        """Read the file again when it has changed; an invalid file leaves the keys as they are."""
        now = time.monotonic()
        if now - self._checked_at < _CHECK_EVERY:
            return
        self._checked_at = now
        signature = self._signature()
        if signature == self._read_signature:
            return
        self._read_signature = signature
        try:
            self._keys = _hashes_and_callers(self._file.read())
        except FgctlError as error:
            logger.error("keeping the previous keys: %s", error)
        else:
            logger.info("read %d keys from %s", len(self._keys), self._file.path)

    def _signature(self) -> tuple[int, int, int] | None:
        try:
            stat = self._file.path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _hashes_and_callers(keys: dict[str, Key]) -> list[tuple[bytes, Caller]]:
    return [(key.sha256.encode(), key.caller(key_id)) for key_id, key in keys.items()]
