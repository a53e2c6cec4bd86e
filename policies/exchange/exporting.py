"""A stored version as a plain PEFT adapter, with the trunk that it needs."""

import json
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from policies.adapters.configuration import ADAPTER_CONFIG
from policies.adapters.lora import ADAPTER, LoraAdapter
from policies.base import DEFAULT_BASE, MARKER, BaseModel, resolve_base
from policies.exchange.hub_card import CardFacts, hub_card
from policies.exchange.places import Directory, Place
from policies.manifest import Named, PolicyManifest
from policies.names import SFT
from policies.store import MANIFEST, PolicyStore
from policies.trunk import policy_files
from rewards.errors import FgctlError

TRUNK = "trunk"
"""The name of an exported trunk beside its adapter."""
TRUNK_MARKER = "fgctl-trunk.json"
"""The file in an exported trunk that names it."""
NAMED = "base_model_name_or_path"
"""What an adapter names as its base; an exported `policy.json` has what the stored adapter names."""
DEFAULT_ON_HUB = "HuggingFaceTB/SmolLM2-135M-Instruct"
"""The model on the Hub that the default base was made of; its weights there are more precise."""
DEFAULT_LICENCE = "apache-2.0"
"""The licence of the default base and of the policies that come with fgctl."""


@dataclass(frozen=True)
class Exported:
    """What was exported."""

    manifest: PolicyManifest
    base_model: str
    """What `base_model_name_or_path` says."""
    trunk: str | None
    """Where the trunk was exported to; None where there is none, or it is elsewhere already."""

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "profile": self.manifest.profile,
            "version": self.manifest.version,
            "base_model": self.base_model,
            "trunk": self.trunk,
        }


def export_policy(
    store: PolicyStore,
    profile: str,
    version: str,
    target: Place,
    *,
    base: str | None = None,
    base_model: str | None = None,
    licence: str | None = None,
) -> Exported:
    """Write a stored version to a place.

    `base` is the base as `resolve_base` finds it, by default the one that the manifest names. `base_model` is what the
    adapter shall call the model that it changes; None exports a trunk beside it, and names other bases themselves.
    Raises BrokenPolicy for a version that cannot be used, and FgctlError when the place is taken or refuses it.
    """
    directory, manifest = store.usable(profile, version), store.manifest(profile, version)
    target.require_free()
    trunk = None
    if base_model is None and manifest.on_trunk and profile != SFT:
        plain = resolve_base(base or _named(store.plain_base(manifest)))
        trunk = policy_files(plain, store, profile, version).model
        base_model = target.beside(TRUNK).model_name
    elif base_model is None:
        base_model = _base_model(base or manifest.base.name, target)
    facts = CardFacts(
        f"{profile}-{version}", base_model, licence or _licence(store.plain_base(manifest)), LoraAdapter(directory).rank
    )
    inside = isinstance(target, Directory)
    if trunk is not None and not inside:
        target.beside(TRUNK).put(partial(_write_trunk, trunk, manifest.base))

    def write(scratch: Path) -> None:
        named = _write_adapter(directory, scratch, base_model)
        described = manifest.model_dump(mode="json") | {NAMED: named}
        (scratch / MANIFEST).write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")
        (scratch / "README.md").write_text(hub_card(manifest, facts), encoding="utf-8")
        if trunk is not None and inside:
            (scratch / TRUNK).mkdir()
            _write_trunk(trunk, manifest.base, scratch / TRUNK)

    target.put(write)
    return Exported(manifest, base_model, None if trunk is None else base_model)


def _named(base: Named) -> str | None:
    """A base's name for `resolve_base`."""
    return None if base.name == DEFAULT_BASE else base.name


def _licence(base: Named) -> str:
    return DEFAULT_LICENCE if base.name == DEFAULT_BASE else "other"


def _base_model(name: str, target: Place) -> str:
    """What loads a base that is no trunk. Raises FgctlError for a directory of this machine in a card on the Hub."""
    path = Path(name).expanduser()
    if isinstance(target, Directory):
        if name == DEFAULT_BASE:
            return str(resolve_base().path.absolute())
        return str(path.absolute()) if path.is_dir() else name
    if name == DEFAULT_BASE:
        return DEFAULT_ON_HUB
    if path.is_dir() or path.is_absolute():
        raise FgctlError(f"The base {name} is a directory of this machine; name the model on the Hub by --base-model.")
    return name


def _write_adapter(directory: Path, target: Path, base_model: str) -> str | None:
    """The adapter as PEFT writes it, with the tensors that are stored. Returns the base that the stored one names."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    with safe_open(directory / ADAPTER, framework="pt") as stored:
        if (stored.metadata() or {}).get("format") == "pt":
            shutil.copyfile(directory / ADAPTER, target / ADAPTER)
        else:
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 - no dictionary
            save_file(tensors, target / ADAPTER, {"format": "pt"})
    config = json.loads((directory / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    named: str | None = config.get(NAMED)
    config[NAMED] = base_model
    (target / ADAPTER_CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return named


def _write_trunk(trunk: BaseModel, name: Named, target: Path) -> None:
    """The trunk's files, with the marker by which an import knows it."""
    for file in trunk.path.iterdir():
        if file.is_file() and file.name != MARKER:
            shutil.copyfile(file, target / file.name)
    (target / TRUNK_MARKER).write_text(name.model_dump_json(indent=1) + "\n", encoding="utf-8")
