"""The versions on disk: `<profile>/<version>/{adapter_model.safetensors, adapter_config.json, policy.json, README.md}`.

A version is named by the content of its adapter, so two different adapters never share a name: vLLM's prefix cache
and every metric label rely on that. Once stored, a version never changes, except for the scores recorded for it.
"""

import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock
from pydantic import ValidationError

from policies.adapters.base_modules import BaseModules, local_modules
from policies.adapters.configuration import ADAPTER_CONFIG
from policies.adapters.digest import digest_of
from policies.adapters.lora import ADAPTER, LoraAdapter
from policies.errors import BrokenPolicy, OtherBase, first_error
from policies.manifest import SERVED, VALIDATION, Named, PolicyManifest, card
from policies.names import SFT, check_name, is_name
from policies.store.location import Location
from policies.store.objects import Changed
from policies.store.origin import Origin
from policies.store.profiles import PROFILES
from policies.store.replace_file import replace_file
from rewards.errors import FgctlError

Result = TypeVar("Result")

MANIFEST = "policy.json"

_SHOWN = 12
"""Digits of an adapter's digest that name its version; the whole digest is stored and compared, too."""
ATTEMPTS = 20
"""How often a change of a store behind a URL is tried while others change it."""
_PAUSE = 0.1
"""Seconds, times the number of attempts: the longest pause before the next."""
_PICKLED = frozenset({".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth"})


class VersionStore:
    """Reads and writes version directories."""

    def __init__(self, location: Location) -> None:
        self.root = location.root
        """Where new versions go; of a store behind a URL, its mirror on this machine."""
        self._former = location.former
        self._origin = Origin(location.url, location.root) if location.url is not None else None

    @property
    def url(self) -> str | None:
        """Where it is if it is not on this machine."""
        return None if self._origin is None else self._origin.url

    def directories(self) -> Iterator[Path]:
        """The directory of every version, broken or not; in the former place, only of those with a manifest."""
        if self._origin is not None:
            self._origin.refresh(now=False)
            yield from (self.root / profile / version for profile, version in self._origin.versions())
            return
        former = self._former.glob(f"*/*/{MANIFEST}") if self._former is not None else ()
        for directory in [*self.root.glob("*/*/"), *(manifest.parent for manifest in former)]:
            profile, version = directory.parent.name, directory.name
            named = is_name(profile) and is_name(version) and directory.parent not in (self.root, self._former)
            if named and directory == self.path(profile, version):
                yield directory

    def stored_profiles(self) -> list[str]:
        """The profiles with a stored version, by name, whether or not one is current."""
        return sorted({path.parent.name for path in self.directories() if (path / MANIFEST).is_file()})

    def versions(self, profile: str) -> list[str]:
        """The stored versions of a profile, oldest first, without broken ones and copies under another name."""
        check_name(profile)
        manifests = []
        for version in self._version_names(profile):
            try:
                manifest = self.manifest(profile, version)
            except BrokenPolicy:
                continue
            if (manifest.profile, manifest.version) == (profile, version):
                manifests.append(manifest)
        return [m.version for m in sorted(manifests, key=lambda m: (m.created, m.version))]

    def path(self, profile: str, version: str) -> Path:
        """The directory of a version, whether or not it exists. Raises FgctlError for an invalid name."""
        check_name(profile)
        check_name(version)
        directory = self.root / profile / version
        if self._former is not None and not directory.exists():
            former = self._former / profile / version
            if (former / MANIFEST).is_file():
                return former
        return directory

    def manifest(self, profile: str, version: str) -> PolicyManifest:
        """The manifest of a stored version. Raises BrokenPolicy when it is missing or not valid."""
        file = self.path(profile, version) / MANIFEST
        if self._origin is not None:
            self._origin.refresh(now=False)
        try:
            if self._origin is not None and not self._origin.holds(profile, version):
                raise FileNotFoundError  # an upload that broke off has left it in the mirror alone
            return PolicyManifest.model_validate_json(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            stored = ", ".join(self._version_names(profile)) or "none"
            raise BrokenPolicy(f"Policy {profile}@{version} is not stored; stored versions: {stored}.") from None
        except ValidationError as error:
            reason = f"{profile}@{version}: {MANIFEST}: {first_error(error)}"
            raise BrokenPolicy(f"{reason}; restore it or train the policy again.") from None
        except (OSError, UnicodeDecodeError) as error:
            reason = f"{profile}@{version}: {MANIFEST} cannot be read ({getattr(error, 'strerror', None) or error})"
            raise BrokenPolicy(f"{reason}; restore it or train the policy again.") from None

    def usable(self, profile: str, version: str, base: Named | None = None, modules: BaseModules | None = None) -> Path:
        """The directory of a version that passes `verify` and whose adapter passes the check, `LoraAdapter.check`.

        `modules` are those of its base or trunk; None looks for the base on this machine, and without it shapes are not
        checked. Raises BrokenPolicy.
        """
        directory = self.verify(profile, version, base)
        if modules is None:
            plain = self.plain_base(self.manifest(profile, version))
            modules = local_modules(plain.name, plain.digest)
        LoraAdapter(directory).check(modules)
        return directory

    def plain_base(self, manifest: PolicyManifest) -> Named:
        """The base without the parent that a policy's trunk adds to it, which changes no module's name or shape."""
        parent = self.intact(SFT, manifest.parent.version) if manifest.parent else None
        return parent.base if parent and parent.merged else manifest.base

    def verify(self, profile: str, version: str, base: Named | None = None) -> Path:
        """The directory of a version whose content is what was stored and, if `base` is given, belongs to that base.

        Raises BrokenPolicy saying what is wrong; also when there are pickled weights, which some loader might prefer.
        Messages name no directory, because services pass them on to their callers.
        """
        directory, manifest = self.path(profile, version), self.manifest(profile, version)
        digest, name = digest_of(directory), f"{profile}@{version}"
        if self._origin is not None and not _is_whole(digest, manifest):
            self._origin.fetch(profile, version, manifest.digest)
            digest = digest_of(directory)
        if not _is_whole(digest, manifest):
            raise BrokenPolicy(f"{name}: the adapter is missing or changed since it was stored; restore it.")
        if pickled := sorted(file for file in directory.rglob("*") if file.suffix.lower() in _PICKLED):
            file = pickled[0].relative_to(directory)
            raise BrokenPolicy(f"{name} holds {file}, which is pickled, and only safetensors are accepted; remove it.")
        if base is not None and manifest.base.digest != base.digest:
            self._require_parent(manifest)
            raise OtherBase(
                f"{name} was trained on the base {manifest.base.short}, not on this {base.short}; serve its own "
                f"base or train it on this one."
            )
        return directory

    def _require_parent(self, manifest: PolicyManifest) -> None:
        """Raises BrokenPolicy for a policy on a trunk that cannot be made, because its parent is missing or broken."""
        if manifest.on_trunk and manifest.parent and not self.intact(SFT, manifest.parent.version):
            raise BrokenPolicy(
                f"{manifest.profile}@{manifest.version} was trained on the base with its parent merged into it, and "
                f"that parent, {SFT}@{manifest.parent.version}, is missing or broken; restore it."
            )

    def write(self, profile: str, adapter: Path, manifest: dict[str, Any]) -> PolicyManifest:
        """Store an adapter directory (as PEFT saves it) as a new version, unless it is stored already.

        `manifest` holds the fields of PolicyManifest except `profile`, `version`, `digest`, `created` and `fgctl`.
        Returns the stored manifest. Raises BrokenPolicy when there is no adapter, when it is stored for other weights
        or another base, or when another one has the same version.
        """
        from importlib.metadata import version as package_version

        digest = digest_of(adapter)
        if digest is None:
            raise BrokenPolicy(f"{adapter} holds no adapter; train one first.")
        version = digest[:_SHOWN]
        new = PolicyManifest(
            profile=profile,
            version=version,
            digest=digest,
            created=now(),
            fgctl=package_version("fgctl"),
            **manifest,
        )
        if stored := self.intact(profile, version):
            if stored.digest not in (None, digest):
                raise BrokenPolicy(f"Another adapter is stored as {profile}@{version}; train for a step more.")
            if stored.base.digest != new.base.digest or not stored.same_weights_as(new):
                raise BrokenPolicy(
                    f"The same adapter is stored as {profile}@{version} for other weights or another base; train it "
                    f"for longer, or for a profile of its own."
                )
            return stored
        self._place(adapter, new)
        return new

    def adopt(self, manifest: PolicyManifest, adapter: Path) -> bool:
        """Store a version of another store, by its manifest and its directory, whose content has been verified.

        False where this store has it already; what is broken here is replaced.
        """
        if self.intact(manifest.profile, manifest.version):
            return False
        self._place(adapter, manifest)
        return True

    def check_stored(self, profile: str, version: str) -> None:
        """Verify a version as it is stored: behind a URL, what is sent, not the mirror. Raises like verify."""
        self.verify(profile, version)
        if self._origin is not None:
            self._origin.check(profile, version, self.manifest(profile, version).digest)

    def _place(self, adapter: Path, manifest: PolicyManifest) -> None:
        """Make the directory of a version in one step."""
        target = self.root / manifest.profile / manifest.version
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".new-", dir=target.parent))
        try:
            for name in (ADAPTER, ADAPTER_CONFIG):
                shutil.copyfile(adapter / name, scratch / name)
            (scratch / MANIFEST).write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
            (scratch / "README.md").write_text(card(manifest), encoding="utf-8")
            scratch.chmod(0o755)
            if target.is_dir():
                shutil.rmtree(target)
            scratch.rename(target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        if self._origin is not None:
            self._origin.upload(target)

    def require_writable(self, profile: str) -> None:
        """Raises FgctlError when no version of a profile can be stored; to be asked before a long training."""
        if self._origin is not None:
            self._origin.refresh(strict=True)
        directory = self.root / profile
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".new-", dir=directory if directory.exists() else self.root):
                pass
        except OSError as error:
            raise FgctlError(
                f"No policy can be stored in {directory} ({error.strerror}); make it writable, or name another store "
                f"by FGCTL_POLICIES."
            ) from None

    def record_scores(self, profile: str, version: str, scores: dict[str, Any]) -> None:
        """Put an evaluation of greedy answers to the held-out questions into a version's manifest; other scores stay.

        The version's name stays as well: it depends on the adapter alone.
        """

        def change() -> None:
            before = self.manifest(profile, version).scores
            others = {name: before[name] for name in (SERVED, VALIDATION) if before.get(name)}
            self._write_scores(profile, version, scores | others)

        self._atomically(change)

    def record_served(self, profile: str, version: str, served: dict[str, Any]) -> None:
        """Put an evaluation of answers sampled as served into a version's manifest; its greedy scores stay."""
        self._add_scores(profile, version, {SERVED: served})

    def record_validation(self, profile: str, version: str, scores: dict[str, Any]) -> None:
        """Put an evaluation of greedy answers to the validation questions into a manifest; other scores stay."""
        self._add_scores(profile, version, {VALIDATION: scores})

    def lock(self) -> FileLock:
        """Held on this machine from reading to writing `profiles.toml`, the ledger or a version's scores."""
        self.root.mkdir(parents=True, exist_ok=True)
        return FileLock(self.root / f"{PROFILES}.lock")

    def _atomically(self, change: Callable[[], Result]) -> Result:
        """Make a change that reads and writes texts of the store, as if nobody else changed them meanwhile.

        A store behind a URL has no lock that machines share: a write is refused there when somebody else was first, and
        the change is made again on what is there then. Raises what `change` raises, StoreAway, and Changed when others
        were first every time.
        """
        with self.lock():
            if self._origin is None:
                return change()
            for attempt in range(1, ATTEMPTS):
                with suppress(Changed), self._origin.held():
                    return change()
                time.sleep(random.uniform(0, _PAUSE * attempt))  # noqa: S311  # no secret
            with self._origin.held():
                return change()

    def _replace(self, file: Path, text: str) -> None:
        """Replace a text of the store. Raises Changed and StoreAway."""
        if self._origin is None:
            replace_file(file, text)
        else:
            self._origin.replace(file, text)

    def intact(self, profile: str, version: str) -> PolicyManifest | None:
        """The manifest of a stored version; None when it is missing or broken."""
        try:
            self.verify(profile, version)
            return self.manifest(profile, version)
        except BrokenPolicy:
            return None

    def _version_names(self, profile: str) -> list[str]:
        return sorted(path.name for path in self.directories() if path.parent.name == profile)

    def _add_scores(self, profile: str, version: str, scores: dict[str, Any]) -> None:
        self._atomically(lambda: self._write_scores(profile, version, self.manifest(profile, version).scores | scores))

    def _write_scores(self, profile: str, version: str, scores: dict[str, Any]) -> None:
        manifest = self.manifest(profile, version).model_copy(update={"scores": scores})
        self._replace(self.path(profile, version) / MANIFEST, manifest.model_dump_json(indent=1) + "\n")
        self._replace(self.path(profile, version) / "README.md", card(manifest))


def _is_whole(digest: str | None, manifest: PolicyManifest) -> bool:
    """Whether an adapter's content has the digest that its name and its manifest say."""
    return digest is not None and digest.startswith(manifest.version) and manifest.digest in (None, digest)


def now() -> datetime:
    """The time in UTC, to the second."""
    return datetime.now(UTC).replace(microsecond=0)
