"""The policy store: immutable versions of adapters in directories, and which version each profile serves.

    policies/<profile>/<version>/{adapter_model.safetensors, adapter_config.json, policy.json, README.md}
    policies/profiles.toml
    policies/promotions.jsonl

A version is named by the content of its adapter, so two different adapters never share a name: vLLM's prefix
cache and every metric label rely on that. Once stored it never changes, but for the scores that it is given.
"""

import hashlib
import json
import os
import re
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import tomlkit
from filelock import FileLock
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from policies.comparison import Difference, objection
from policies.ledger import Ledger, Promotion, in_effect, promoter, trail
from policies.manifest import SERVED, Named, PolicyManifest, card
from policies.weights import Weights
from rewards.dataset import file_digest
from rewards.errors import FgctlError

ADAPTER = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
MANIFEST = "policy.json"
PROFILES = "profiles.toml"
LEDGER = "promotions.jsonl"
SFT = "sft"
"""The profile name of the supervised parent, which is stored like a policy and served to nobody."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_PICKLED = frozenset({".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth"})


class Decoding(BaseModel):
    """How a profile is sampled unless a request says otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float = Field(0.7, ge=0, le=2)
    top_p: float = Field(0.9, gt=0, le=1)
    max_tokens: int = Field(200, ge=1)


class CanaryShare(BaseModel):
    """A version that is tried out on a share of its profile's traffic."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    share: float = Field(gt=0, lt=1)


class Profile(BaseModel):
    """A name users ask for, and the version it currently means."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    weights: Weights | None = None
    decoding: Decoding = Decoding()
    served: bool = True
    """Whether it can be asked for by name; where not, it is an anchor of mixtures alone."""
    canary: CanaryShare | None = None


SHIPPED = Path(__file__).parent / "shipped"
"""The store that ships with fgctl, and the default."""


class BrokenPolicy(FgctlError):
    """A policy directory that cannot be used as it is."""


class PolicyStore:
    """Reads and writes the policy directories under one root."""

    def __init__(self, root: Path | None = None) -> None:
        """`root` defaults to $FGCTL_POLICIES, else the store that ships with fgctl."""
        self.root = _moved(root or Path(os.environ.get("FGCTL_POLICIES", SHIPPED)))
        self._ledger = Ledger(self.root / LEDGER)

    def profiles(self) -> dict[str, Profile]:
        """Every profile of `profiles.toml`, the supervised parent included. Raises BrokenPolicy."""
        file = self.root / PROFILES
        try:
            table = tomlkit.parse(file.read_text(encoding="utf-8")).unwrap()
            return {name: Profile.model_validate(entry) for name, entry in table.items()}
        except FileNotFoundError:
            return {}
        except ValidationError as error:
            raise BrokenPolicy(f"{file}: {first_error(error)}; mend it or restore it from version control.") from None
        except (OSError, ValueError) as error:
            raise BrokenPolicy(
                f"{file} cannot be read ({error}); mend it or restore it from version control."
            ) from None

    def profile(self, name: str) -> Profile:
        """One profile. Raises FgctlError naming those that exist."""
        known = self.profiles()
        if name not in known:
            raise FgctlError(f"There is no profile {name[:64]!r}; choose one of {', '.join(known) or 'none yet'}.")
        return known[name]

    def stored_profiles(self) -> list[str]:
        """The profiles with a directory, by name, whether or not a version of them is current."""
        return sorted({path.parent.parent.name for path in self.root.glob(f"*/*/{MANIFEST}")})

    def versions(self, profile: str) -> list[str]:
        """The stored versions of a profile, oldest first; broken directories are left out."""
        check_name(profile)
        stored = (path.parent.name for path in (self.root / profile).glob(f"*/{MANIFEST}"))
        manifests = []
        for version in stored:
            try:
                manifests.append(self.manifest(profile, version))
            except BrokenPolicy:
                continue
        return [m.version for m in sorted(manifests, key=lambda m: (m.created, m.version))]

    def path(self, profile: str, version: str) -> Path:
        """The directory of a version, whether or not it exists. Raises FgctlError for names that are no names."""
        check_name(profile)
        check_name(version)
        return self.root / profile / version

    def manifest(self, profile: str, version: str) -> PolicyManifest:
        """The manifest of a stored version. Raises BrokenPolicy when it is missing or not valid."""
        file = self.path(profile, version) / MANIFEST
        try:
            return PolicyManifest.model_validate_json(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            known = ", ".join(p.name for p in sorted((self.root / profile).glob("*/"))) or "none"
            raise BrokenPolicy(f"Policy {profile}@{version} is not stored; stored versions: {known}.") from None
        except ValidationError as error:
            raise BrokenPolicy(f"{file}: {first_error(error)}; restore it or train the policy again.") from None

    def verify(self, profile: str, version: str, base: Named | None = None) -> Path:
        """The directory of a version after checking that its content is what was stored and, where given, its base.

        Raises BrokenPolicy saying what is wrong; also when there are pickled weights, which some loader might prefer.
        """
        directory, manifest = self.path(profile, version), self.manifest(profile, version)
        if version_of(directory) != version:
            raise BrokenPolicy(f"{directory}: the adapter is missing or changed since it was stored; restore it.")
        if pickled := sorted(file for file in directory.rglob("*") if file.suffix.lower() in _PICKLED):
            raise BrokenPolicy(f"{pickled[0]} is pickled, and only safetensors are accepted; remove it.")
        if base is not None and manifest.base.digest != base.digest:
            raise BrokenPolicy(
                f"Policy {profile}@{version} was trained on base {manifest.base.name!r}, not on this "
                f"{base.name!r}; serve its own base or train it on this one."
            )
        return directory

    def write(self, profile: str, adapter: Path, manifest: dict[str, Any]) -> PolicyManifest:
        """Store an adapter directory (as PEFT saves it) as a new version; one that is stored already stays as it is.

        `manifest` holds the fields of PolicyManifest but `profile`, `version`, `created` and `fgctl`. Returns the
        stored manifest. Raises BrokenPolicy when there is no adapter, or it is stored for other weights or another
        base.
        """
        from importlib.metadata import version as package_version

        version = version_of(adapter)
        if version is None:
            raise BrokenPolicy(f"{adapter} holds no adapter; train one first.")
        full = PolicyManifest(
            profile=profile,
            version=version,
            created=_now(),
            fgctl=package_version("fgctl"),
            **manifest,
        )
        if stored := self._intact(profile, version):
            if stored.base.digest != full.base.digest or not stored.same_weights_as(full):
                raise BrokenPolicy(
                    f"The same adapter is stored as {profile}@{version} for other weights or another base; train it "
                    f"for longer, or for a profile of its own."
                )
            return stored
        target = self.path(profile, version)
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".new-", dir=target.parent))
        try:
            for name in (ADAPTER, ADAPTER_CONFIG):
                shutil.copyfile(adapter / name, scratch / name)
            (scratch / MANIFEST).write_text(full.model_dump_json(indent=1) + "\n", encoding="utf-8")
            (scratch / "README.md").write_text(card(full), encoding="utf-8")
            scratch.chmod(0o755)
            if target.is_dir():
                shutil.rmtree(target)
            scratch.rename(target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return full

    def record_scores(self, profile: str, version: str, scores: dict[str, Any]) -> None:
        """Put an evaluation by greedy answers into a stored version's manifest; one as it is served stays there.

        The version, its adapter's content, stays as well.
        """
        with self._lock():
            kept = {SERVED: found} if (found := self.manifest(profile, version).scores.get(SERVED)) else {}
            self._write_scores(profile, version, scores | kept)

    def record_served(self, profile: str, version: str, served: dict[str, Any]) -> None:
        """Put an evaluation by the decoding the profile is served by beside the one by greedy answers."""
        with self._lock():
            self._write_scores(profile, version, self.manifest(profile, version).scores | {SERVED: served})

    def _write_scores(self, profile: str, version: str, scores: dict[str, Any]) -> None:
        manifest = self.manifest(profile, version).model_copy(update={"scores": scores})
        _replace(self.path(profile, version) / MANIFEST, manifest.model_dump_json(indent=1) + "\n")

    def promotions(self, profile: str) -> list[Promotion]:
        """What the ledger says of a profile, oldest first, without promotions that were killed half-way."""
        current = self._current(profile)
        return in_effect(self._ledger.of(profile), current)

    def promote(
        self, profile: str, version: str, reason: str = "", force: bool = False, served: bool | None = None
    ) -> Promotion | None:
        """Make a stored version the one its profile serves, and record it; None when it is that already.

        `served` says whether the profile can be asked for or is an anchor of mixtures alone; None leaves that as it is.

        Raises BrokenPolicy for a version that cannot be used, and FgctlError when its scores fall below those of the
        current version or cannot be compared with them (policies.comparison); `force` overrides the latter, which is
        recorded. The supervised parent is served to nobody and not compared.
        """
        self.verify(profile, version)
        with self._lock():
            previous = self._current(profile)
            if previous == version:
                return None
            current = self._intact(profile, previous) if previous else None
            found, refusal = None, None
            if current and profile != SFT:
                found, refusal = objection(self.manifest(profile, version), current)
            if refusal and not force:
                raise FgctlError(refusal)
            return self._switch(profile, version, previous, "promote", reason, found, refusal, served)

    def rollback(self, profile: str, reason: str = "") -> Promotion:
        """Make the version current again that was so before the last promotion; once more goes further back.

        Raises FgctlError when the ledger names none, and BrokenPolicy when it cannot be used any more.
        """
        with self._lock():
            current = self.profile(profile).version
            earlier = trail(self._ledger.of(profile), current)[:-1]
            if not earlier:
                raise FgctlError(
                    f"The ledger names no version of {profile} before {current}; promote one of `fgctl policies list`."
                )
            self.verify(profile, earlier[-1])
            return self._switch(profile, earlier[-1], current, "rollback", reason)

    def set_canary(self, profile: str, version: str | None, share: float = 0.0) -> None:
        """Give a stored version a share of its profile's traffic, between 0 and 1; None ends that.

        Raises BrokenPolicy for a version that cannot be used, FgctlError for the current one or another share.
        """
        if version is not None:
            self.verify(profile, version)
            if not 0 < share < 1:
                raise FgctlError(f"A canary's share is between 0 and 1, not {share}; promote a version to give it all.")
        with self._lock():
            if version == self.profile(profile).version:
                raise FgctlError(f"{profile} means {version} already; a canary is another version.")
            file = self.root / PROFILES
            document = tomlkit.parse(file.read_text(encoding="utf-8"))
            entry = document[profile]
            entry.pop("canary", None)
            if version is not None:
                inline = tomlkit.inline_table()
                inline.update({"version": version, "share": share})
                entry["canary"] = inline
            _replace(file, tomlkit.dumps(document))

    def _lock(self) -> FileLock:
        """Held while `profiles.toml`, the ledger or a version's scores are read to be written."""
        return FileLock(self.root / f"{PROFILES}.lock")

    def _current(self, profile: str) -> str | None:
        known = self.profiles().get(profile)
        return known.version if known else None

    def _switch(
        self,
        profile: str,
        version: str,
        previous: str | None,
        action: Literal["promote", "rollback"],
        reason: str,
        difference: Difference | None = None,
        overridden: str | None = None,
        served: bool | None = None,
    ) -> Promotion:
        """Append to the ledger, then replace `profiles.toml`: the moment at which the promotion happens."""
        manifest = self.manifest(profile, version)
        promotion = Promotion(
            action=action,
            profile=profile,
            version=version,
            previous=previous,
            who=promoter(),
            when=_now(),
            reason=reason,
            scores=manifest.figures,
            difference=difference,
            overridden=overridden,
        )
        file = self.root / PROFILES
        document = tomlkit.parse(file.read_text(encoding="utf-8")) if file.is_file() else tomlkit.document()
        entry = document.setdefault(profile, tomlkit.table())
        entry["version"] = version
        if manifest.weights is not None:
            inline = tomlkit.inline_table()
            inline.update({name: round(value, 6) for name, value in manifest.weights.as_dict().items()})
            entry["weights"] = inline
        if served is not None:
            entry["served"] = served
        if (canary := entry.get("canary")) and canary["version"] == version:
            del entry["canary"]
        self._ledger.append(promotion)
        _replace(file, tomlkit.dumps(document))
        return promotion

    def _intact(self, profile: str, version: str) -> PolicyManifest | None:
        """The manifest of a stored version; None when it is missing or broken."""
        try:
            self.verify(profile, version)
            return self.manifest(profile, version)
        except BrokenPolicy:
            return None


def version_of(adapter: Path) -> str | None:
    """The content version of an adapter directory: 12 hexadecimal digits; None when a file is missing."""
    try:
        config = json.loads((adapter / ADAPTER_CONFIG).read_text(encoding="utf-8"))
        digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
        digest.update(file_digest(adapter / ADAPTER).encode())
    except (OSError, ValueError):
        return None
    return digest.hexdigest()[:12]


def is_name(name: str) -> bool:
    """Whether the name can be a profile's or a version's, and so a directory's."""
    return _NAME.fullmatch(name) is not None


def check_name(name: str) -> None:
    """Raises FgctlError unless the name can be a profile's or a version's."""
    if not is_name(name):
        raise FgctlError(f"{name[:64]!r} is not a name; use up to 64 lower-case letters, digits, '-' and '_'.")


def first_error(error: ValidationError) -> str:
    """Where and what the first of the errors is."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'content'}: {first['msg']}"


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _replace(file: Path, text: str) -> None:
    """Put a new file in the old one's place, so that a kill at any moment leaves one of the two."""
    scratch = file.with_suffix(".new")
    with scratch.open("w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    scratch.replace(file)


def _moved(root: Path) -> Path:
    """The store at `root`, or in its folder `shipped`, where the default store moved to."""
    moved = root / SHIPPED.name
    return moved if not (root / PROFILES).exists() and (moved / PROFILES).exists() else root
