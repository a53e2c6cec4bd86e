"""The trunk: the base with a supervised parent merged into it, so that policies on top stay small adapters.

A strong parent changes every linear layer, and an adapter of that size would slow serving down. A parent whose
policy.json says `merged` is therefore added to the base's weights once, into a directory of the cache, and policies are
trained and served on the sum. A parent that is not merged is an adapter of the base from which policies start.

A trunk is identified by what it is made of, the base and the parent's adapter, not by its weights: machines differ in
the last bit of a matrix product.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from policies.adapters.base_modules import modules_of
from policies.adapters.lora import LoraAdapter, base_name
from policies.base import MARKER, BaseModel, cache_directory, intact_digest, make_once
from policies.errors import OtherBase
from policies.manifest import Named, trunk_label
from policies.names import DEFAULT_PROFILE, SFT
from policies.store import ADAPTER, PolicyStore
from rewards.dataset import file_digest
from rewards.errors import FgctlError

if TYPE_CHECKING:
    from torch import Tensor

_FORMAT = 1
"""Raised when the same base and parent are to give another trunk."""
_PRECISIONS = frozenset({"BF16", "F16", "F32", "F64"})
"""Types of tensors, as safetensors name them, to which an update can be added."""
_COPIED = frozenset({".jinja", ".json", ".model", ".txt"})
"""Suffixes of the base's files that the trunk has unchanged: configuration and tokenizer."""


@dataclass(frozen=True)
class PolicyFiles:
    """What to load for a stored policy."""

    model: BaseModel
    """The base or the trunk."""
    adapter: Path | None
    """Directory of the adapter on it; None for a parent that is merged into the model."""


def policy_files(base: BaseModel, store: PolicyStore, profile: str, version: str) -> PolicyFiles:
    """What to load for a stored version, after checking it; a trunk that is not in the cache is made.

    Raises BrokenPolicy for a version that is broken, or whose base is neither `base` nor a trunk on it.
    """
    manifest, plain = store.manifest(profile, version), Named(name=base.name, digest=base.digest)
    if profile == SFT:
        adapter, named = store.verify(SFT, version, plain), trunk_name(store, version)
        return PolicyFiles(base, adapter) if named is None else PolicyFiles(_trunk(base, named, adapter), None)
    parent = manifest.parent
    named = trunk_name(store, parent.version) if parent and manifest.on_trunk else None
    adapter = store.verify(profile, version, named or plain)
    if parent is None or named is None:
        return PolicyFiles(base, adapter)
    return PolicyFiles(_trunk(base, named, store.verify(SFT, parent.version, plain)), adapter)


def trunk_of(base: BaseModel, store: PolicyStore) -> BaseModel:
    """The model that a store's profiles are served on: `base`, or base and parent merged.

    It is that of the default profile's current version, or of another profile's where that is missing or unusable;
    without policies, that of the current parent. So a new parent changes nothing for a service until policies that were
    trained on it are promoted. Raises BrokenPolicy when `profiles.toml` cannot be read, and when no current version can
    be loaded because one of them, or its merged parent, is broken; where all were trained on other bases, it is `base`.
    """
    return next(_models(base, store), base)


def trunks(base: BaseModel, store: PolicyStore) -> list[BaseModel]:
    """Every trunk that a current version needs, first that of `trunk_of`; several while a new parent replaces another.

    Raises BrokenPolicy as `trunk_of`.
    """
    models = {model.digest: model for model in _models(base, store)}
    return [model for digest, model in models.items() if digest != base.digest]


def trunk_name(store: PolicyStore, parent: str) -> Named | None:
    """Name and digest of the trunk of a version of the parent, without making it; None if it is not merged.

    Raises BrokenPolicy for a version that is broken.
    """
    return _sum(store, parent) if store.manifest(SFT, parent).merged else None


def merged(base: BaseModel, store: PolicyStore, parent: str) -> BaseModel:
    """The base with a version of the parent merged into it, also of a parent that is not `merged`.

    Made unless it is in the cache. Raises BrokenPolicy for a version that is broken or of another base.
    """
    adapter = store.verify(SFT, parent, Named(name=base.name, digest=base.digest))
    return _trunk(base, _sum(store, parent), adapter)


def _sum(store: PolicyStore, parent: str) -> Named:
    manifest, adapter = store.manifest(SFT, parent), file_digest(store.verify(SFT, parent) / ADAPTER)
    inputs = {"format": _FORMAT, "base": manifest.base.digest, "parent": parent, "adapter": adapter}
    digest = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
    return Named(name=trunk_label(manifest.base.name, parent), digest=digest)


def _models(base: BaseModel, store: PolicyStore) -> Iterator[BaseModel]:
    """The model of each profile's current version: the default profile's first, the parent's last.

    Raises BrokenPolicy, after them, when there is none and one is broken.
    """
    profiles, loaded = store.profiles(), False
    broken: FgctlError | None = None
    for name in sorted(profiles, key=lambda name: (name == SFT, name != DEFAULT_PROFILE)):
        try:
            model = policy_files(base, store, name, profiles[name].version).model
        except OtherBase:
            continue
        except FgctlError as error:
            broken = broken or error
            continue
        loaded = True
        yield model
    if broken and not loaded:
        raise broken


def _trunk(base: BaseModel, named: Named, adapter: Path) -> BaseModel:
    """The trunk of the parent in a directory, made unless it is in the cache or, as in an image, beside the base."""
    recipe = {"trunk": named.digest}
    directory = f"{Path(base.name).name}-{SFT}-{named.digest[:12]}"
    beside, target = base.path.parent / directory, cache_directory() / directory
    if intact_digest(beside, recipe):
        return BaseModel(named.name, beside, named.digest)

    def make(scratch: Path) -> str:
        merge(base.path, LoraAdapter(adapter), scratch)
        return named.digest

    return BaseModel(named.name, target, make_once(target, recipe, make))


def merge(base: Path, adapter: LoraAdapter, directory: Path) -> None:
    """Write a model directory whose weights are the base's plus the adapter's update.

    Computed in float32 and cast once, to the base's precision. Raises BrokenPolicy for an adapter that fails the check,
    and FgctlError when the base has no weights for a module of the adapter, or has them quantized.
    """
    from safetensors import safe_open
    from safetensors.torch import save_file

    adapter.check(modules_of(base))
    require_mergeable(base, adapter.modules)
    changed = {name: module for module in adapter.modules for name in _stored_names(module)}
    for source in _weight_files(base):
        with safe_open(source, framework="pt") as weights:
            tensors = {name: weights.get_tensor(name) for name in weights.keys()}  # noqa: SIM118 - no dictionary
            metadata = weights.metadata()
        for name in changed.keys() & tensors.keys():
            tensors[name] = _merged(tensors[name], adapter, changed[name])
        save_file(tensors, directory / source.name, metadata)
    for file in base.iterdir():
        if file.suffix in _COPIED and file.name != MARKER and file.is_file():
            shutil.copyfile(file, directory / file.name)


def require_mergeable(base: Path, modules: Iterable[str]) -> None:
    """Check that updates of some modules can be merged into a base, by its files' headers; before a long training, too.

    Raises FgctlError when the base has no weights for a module, or has them quantized.
    """
    from safetensors import safe_open

    missing = set(modules)
    changed = {name: module for module in missing for name in _stored_names(module)}
    for source in _weight_files(base):
        with safe_open(source, framework="pt") as weights:
            for name in changed.keys() & set(weights.keys()):
                if (dtype := weights.get_slice(name).get_dtype()) not in _PRECISIONS:
                    raise FgctlError(
                        f"The base's weights {name} are quantized ({dtype}), so no parent can be merged into them; "
                        f"train it with --set sft.merge=false."
                    )
                missing.discard(changed[name])
    if missing:
        raise FgctlError(
            f"{base} has no weights {base_name(min(missing))}.weight, which a merged parent changes; train the parent "
            f"with --set sft.merge=false."
        )


def _stored_names(module: str) -> tuple[str, str]:
    """The names that a module's weights may have in a checkpoint: transformers also reads those of a bare decoder."""
    whole = f"{base_name(module)}.weight"
    return whole, whole.partition(".")[2]


def _merged(weight: "Tensor", adapter: LoraAdapter, module: str) -> "Tensor":
    update = adapter.update(module)
    return (weight.float() + (update.T if adapter.config.fan_in_fan_out else update)).to(weight.dtype)


def _weight_files(base: Path) -> list[Path]:
    """The base's safetensors files: the one there is, or those that its index lists. Raises FgctlError without any."""
    index = base / "model.safetensors.index.json"
    if index.is_file():
        names = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        return [base / name for name in sorted(set(names))]
    file = base / "model.safetensors"
    if not file.is_file():
        raise FgctlError(
            f"{base} has no safetensors; save the base as safetensors, or train with --set sft.merge=false."
        )
    return [file]
