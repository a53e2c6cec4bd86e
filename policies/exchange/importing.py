"""An adapter that was trained elsewhere, or exported, as a version of a profile.

What the engine applies exactly is stored as it is: plain LoRA, with rsLoRA's scale and with ranks and scales by
pattern. Everything else, such as DoRA or whole modules, is refused by the same check as in training (`adapters/`).
"""

import json
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from policies.adapters.base_modules import modules_of
from policies.adapters.configuration import ADAPTER_CONFIG
from policies.adapters.lora import ADAPTER, LoraAdapter
from policies.base import BaseModel, directory_digest, resolve_base
from policies.exchange.exporting import DEFAULT_ON_HUB, NAMED, TRUNK_MARKER
from policies.exchange.places import Place
from policies.manifest import Named, PolicyManifest, Versioned, trunk_label
from policies.names import SFT, check_name
from policies.store import MANIFEST, PolicyStore
from policies.trunk import trunks
from policies.weights import Weights
from rewards.dataset import file_digest
from rewards.errors import FgctlError

_FILES = [ADAPTER, ADAPTER_CONFIG, MANIFEST]
_SCALES = ("r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern", "peft_version")
"""Settings of an adapter that its recipe keeps."""


def import_policy(
    store: PolicyStore, source: Place, profile: str, weights: Weights | None, base: str | None = None
) -> PolicyManifest:
    """Store an adapter for a profile and weights, which only the parent lacks.

    `base` is the model that it changes; None for the store's, if the adapter names that. Raises BrokenPolicy for an
    adapter that is not plain LoRA or does not fit, and FgctlError for one of another base.
    """
    check_name(profile)
    if (weights is None) != (profile == SFT):
        raise FgctlError(
            f"{SFT} is trained without weights; leave out --weights."
            if weights
            else f"Name the weights that {profile} was trained for by --weights, such as 0.3,0.5,0.2."
        )
    directory = source.fetch(_FILES)
    _require_files(directory)
    content = _json(directory / ADAPTER_CONFIG)
    if not isinstance(content.get(NAMED), str | None):
        raise FgctlError(f"{ADAPTER_CONFIG}: {NAMED} is {content[NAMED]!r}, which names no base; correct it.")
    origin = _origin(directory)
    model = _model(store, content.get(NAMED), origin, base)
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / profile / "import"
        copy.mkdir(parents=True)
        shutil.copyfile(directory / ADAPTER, copy / ADAPTER)
        # The base is named by the manifest, and a version by its content, wherever its base lies.
        stored_name = _json(directory / MANIFEST).get(NAMED) if origin else None
        (copy / ADAPTER_CONFIG).write_text(json.dumps(content | {NAMED: stored_name}))
        adapter = LoraAdapter(copy)
        adapter.check(modules_of(model.path))
        fields = _manifest(store, source.model_name, content, origin, model)
        return store.write(profile, copy, fields | {"weights": weights})


def _require_files(directory: Path) -> None:
    for name in (ADAPTER_CONFIG, ADAPTER):
        if not (directory / name).is_file():
            raise FgctlError(
                f"{directory} has no {name}; name a directory that PEFT's save_pretrained wrote, as safetensors."
            )


def _json(file: Path) -> dict[str, Any]:
    """What a file holds. Raises FgctlError when it cannot be read."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FgctlError(f"{file.name} cannot be read ({error}); name a directory that PEFT saved.") from None
    if not isinstance(content, dict):
        raise FgctlError(f"{file.name} holds no settings; name a directory that PEFT saved.")
    return content


def _origin(directory: Path) -> PolicyManifest | None:
    """The manifest of an exported adapter; None for one that was trained elsewhere."""
    with suppress(OSError, UnicodeDecodeError, ValidationError):
        return PolicyManifest.model_validate_json((directory / MANIFEST).read_text(encoding="utf-8"))
    return None


def _model(store: PolicyStore, named: str | None, origin: PolicyManifest | None, base: str | None) -> BaseModel:
    """The model that an adapter changes: the base, or a trunk of the store. Raises FgctlError for another one."""
    plain = resolve_base(base)
    models = [*trunks(plain, store), plain]
    digest = _digest(named) if origin is None else origin.base.digest
    if digest is not None and (match := next((model for model in models if model.digest == digest), None)):
        return match
    names = {Path(name).name.lower() for name in (plain.name, DEFAULT_ON_HUB if base is None else plain.name)}
    if origin is None and (named is None or base is not None or Path(named).name.lower() in names):
        return plain
    if origin and origin.parent and origin.on_trunk:
        parent = f"{SFT}@{origin.parent.version}"
        raise FgctlError(
            f"The adapter was trained on the base with its parent {parent} merged into it, which no policy here is; "
            f"import and promote {parent} first."
        )
    raise FgctlError(
        f"The adapter was trained on {origin.base.short if origin else named}, and the policies here on "
        f"{models[0].name}; name its base by --base."
    )


def _digest(named: str | None) -> str | None:
    """The digest of the base that an adapter names, as far as it is a directory of this machine."""
    if named is None or not (path := Path(named).expanduser()).is_dir():
        return None
    with suppress(OSError, UnicodeDecodeError, ValidationError):
        return Named.model_validate_json((path / TRUNK_MARKER).read_text(encoding="utf-8")).digest
    return directory_digest(path)


def _manifest(
    store: PolicyStore, source: str, content: dict[str, Any], origin: PolicyManifest | None, model: BaseModel
) -> dict[str, Any]:
    """The fields of the manifest but the weights. An evaluation that was made elsewhere is not taken over."""
    recipe = {"imported": {"from": source, **{name: content[name] for name in _SCALES if name in content}}}
    return {
        "base": Named(name=model.name, digest=model.digest),
        "parent": _parent(store, origin, model),
        "recipe": (origin.recipe if origin else {}) | recipe,
        "data": origin.data if origin else (),
        "rewards": origin.rewards if origin else None,
        "steps": origin.steps if origin else 0,
        "episodes": origin.episodes if origin else 0,
        "scores": {},
        "merged": bool(origin and origin.merged),
    }


def _parent(store: PolicyStore, origin: PolicyManifest | None, model: BaseModel) -> Versioned | None:
    """The parent that a trunk was made of, or the one that an exported policy started from, if it is stored here."""
    _, on_trunk, version = model.name.rpartition(trunk_label("", ""))
    if on_trunk:
        return Versioned(version=version, digest=file_digest(store.path(SFT, version) / ADAPTER))
    return origin.parent if origin and origin.parent and store.intact(SFT, origin.parent.version) else None
