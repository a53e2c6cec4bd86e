"""The policy store: immutable versions of adapters in directories, and which version each profile serves.

    policies/<profile>/<version>/{adapter_model.safetensors, adapter_config.json, policy.json, README.md}
    policies/profiles.toml

A version is named by the content of its adapter, so two different adapters never share a name: vLLM's prefix
cache and every metric label rely on that.
"""

import hashlib
import json
import os
import re
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import tomlkit
from filelock import FileLock
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from policies.weights import Weights
from rewards.dataset import file_digest
from rewards.errors import FgctlError

ADAPTER = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
MANIFEST = "policy.json"
PROFILES = "profiles.toml"
SFT = "sft"
"""The profile name of the supervised parent, which is stored like a policy and served to nobody."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


class Named(BaseModel):
    """Something identified by name and content."""

    model_config = ConfigDict(frozen=True)

    name: str
    digest: str


class Versioned(BaseModel):
    """Something identified by version and content."""

    model_config = ConfigDict(frozen=True)

    version: str
    digest: str


class PolicyManifest(BaseModel):
    """`policy.json`: what a policy is, where it came from and how it scored."""

    model_config = ConfigDict(frozen=True)

    profile: str
    version: str
    weights: Weights | None
    """None for the supervised parent, which no reward shaped."""
    base: Named
    parent: Versioned | None
    recipe: dict[str, Any]
    data: tuple[Named, ...]
    rewards: Versioned | None
    steps: int
    episodes: int
    scores: dict[str, Any]
    created: datetime
    fgctl: str


class Decoding(BaseModel):
    """How a profile is sampled unless a request says otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float = Field(0.7, ge=0, le=2)
    top_p: float = Field(0.9, gt=0, le=1)
    max_tokens: int = Field(200, ge=1)


class Profile(BaseModel):
    """A name users ask for, and the version it currently means."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    weights: Weights | None = None
    decoding: Decoding = Decoding()


class BrokenPolicy(FgctlError):
    """A policy directory that cannot be used as it is."""


class PolicyStore:
    """Reads and writes the policy directories under one root."""

    def __init__(self, root: Path | None = None) -> None:
        """`root` defaults to $FGCTL_POLICIES, else the repository's own policies."""
        self.root = root or Path(os.environ.get("FGCTL_POLICIES", Path(__file__).parent))

    def profiles(self) -> dict[str, Profile]:
        """Every profile of `profiles.toml`, the supervised parent included. Raises BrokenPolicy."""
        file = self.root / PROFILES
        try:
            table = tomlkit.parse(file.read_text(encoding="utf-8")).unwrap()
            return {name: Profile.model_validate(entry) for name, entry in table.items()}
        except FileNotFoundError:
            return {}
        except ValidationError as error:
            raise BrokenPolicy(f"{file}: {_first(error)}; mend it or restore it from version control.") from None
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
            raise BrokenPolicy(f"{file}: {_first(error)}; restore it or train the policy again.") from None

    def verify(self, profile: str, version: str, base: Named | None = None) -> Path:
        """The directory of a version after checking its adapter's content and, where given, its base.

        Raises BrokenPolicy saying what is wrong.
        """
        directory, manifest = self.path(profile, version), self.manifest(profile, version)
        if version_of(directory) != version:
            raise BrokenPolicy(f"{directory}: the adapter is missing or changed since it was stored; restore it.")
        if base is not None and manifest.base.digest != base.digest:
            raise BrokenPolicy(
                f"Policy {profile}@{version} was trained on base {manifest.base.name!r}, not on this "
                f"{base.name!r}; serve its own base or train it on this one."
            )
        return directory

    def write(self, profile: str, adapter: Path, manifest: dict[str, Any]) -> PolicyManifest:
        """Store an adapter directory (as PEFT saves it) as a new version; storing the same content twice is harmless.

        `manifest` holds the fields of PolicyManifest but `profile`, `version`, `created` and `fgctl`.
        """
        from importlib.metadata import version as package_version

        version = version_of(adapter)
        if version is None:
            raise BrokenPolicy(f"{adapter} holds no adapter; train one first.")
        full = PolicyManifest(
            profile=profile,
            version=version,
            created=datetime.now(UTC).replace(microsecond=0),
            fgctl=package_version("fgctl"),
            **manifest,
        )
        target = self.path(profile, version)
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".new-", dir=target.parent))
        try:
            for name in (ADAPTER, ADAPTER_CONFIG):
                shutil.copyfile(adapter / name, scratch / name)
            (scratch / MANIFEST).write_text(full.model_dump_json(indent=1) + "\n", encoding="utf-8")
            (scratch / "README.md").write_text(_card(full), encoding="utf-8")
            scratch.chmod(0o755)
            if target.is_dir():
                shutil.rmtree(target)
            scratch.rename(target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return full

    def record_scores(self, profile: str, version: str, scores: dict[str, Any]) -> None:
        """Put an evaluation into a stored version's manifest; the version, its adapter's content, stays."""
        manifest = self.manifest(profile, version).model_copy(update={"scores": scores})
        file = self.path(profile, version) / MANIFEST
        scratch = file.with_suffix(".new")
        scratch.write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
        scratch.replace(file)

    def promote(self, profile: str, version: str) -> None:
        """Make a stored version the one its profile serves."""
        self.verify(profile, version)
        weights = self.manifest(profile, version).weights
        file = self.root / PROFILES
        with FileLock(f"{file}.lock"):
            document = tomlkit.parse(file.read_text(encoding="utf-8")) if file.is_file() else tomlkit.document()
            entry = document.setdefault(profile, tomlkit.table())
            entry["version"] = version
            if weights is not None:
                inline = tomlkit.inline_table()
                inline.update({name: round(value, 6) for name, value in weights.as_dict().items()})
                entry["weights"] = inline
            scratch = file.with_suffix(".new")
            scratch.write_text(tomlkit.dumps(document), encoding="utf-8")
            scratch.replace(file)


def version_of(adapter: Path) -> str | None:
    """The content version of an adapter directory: 12 hexadecimal digits; None when a file is missing."""
    try:
        config = json.loads((adapter / ADAPTER_CONFIG).read_text(encoding="utf-8"))
        digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
        digest.update(file_digest(adapter / ADAPTER).encode())
    except (OSError, ValueError):
        return None
    return digest.hexdigest()[:12]


def check_name(name: str) -> None:
    """Raises FgctlError unless the name can be a profile's or a version's, and so a directory's."""
    if not _NAME.fullmatch(name):
        raise FgctlError(f"{name[:64]!r} is not a name; use up to 64 lower-case letters, digits, '-' and '_'.")


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'content'}: {first['msg']}"


def _card(manifest: PolicyManifest) -> str:
    weights = manifest.weights
    shaped = (
        "Supervised fine-tuning only; the parent of the profiles."
        if weights is None
        else "Trained by PPO on dense, per-category rewards weighted "
        + ", ".join(f"{name} {value:.3f}" for name, value in weights.as_dict().items())
        + "."
    )
    return (
        f"# {manifest.profile} {manifest.version}\n\n{shaped}\n\n"
        f"A LoRA adapter for {manifest.base.name}. {manifest.steps} steps, {manifest.episodes} episodes, "
        f"{manifest.created:%Y-%m-%d}. `policy.json` has its lineage and scores.\n"
    )
