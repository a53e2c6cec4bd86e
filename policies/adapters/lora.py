"""A stored adapter: whether it can be used, and how much two adapters differ."""

from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING

from policies.adapters.base_modules import BaseModules
from policies.adapters.configuration import read_config
from policies.errors import BrokenPolicy

if TYPE_CHECKING:
    from torch import Tensor

ADAPTER = "adapter_model.safetensors"
_PREFIX = "base_model.model."
"""What PEFT puts before the names of the base's modules."""


class LoraAdapter:
    """A stored adapter, read module by module without its base model."""

    def __init__(self, directory: Path) -> None:
        """Raises BrokenPolicy when configuration or tensors cannot be read or are not those of plain LoRA.

        Messages name the adapter as the store does, `profile@version`.
        """
        from safetensors import SafetensorError, safe_open

        self.directory = directory
        self.name = f"{directory.parent.name}@{directory.name}"
        self.config = read_config(directory, self.name)
        try:
            self._file = safe_open(directory / ADAPTER, framework="pt")
        except FileNotFoundError:
            raise BrokenPolicy(f"{self.name}: {ADAPTER} is missing; train the policy again.") from None
        except (OSError, SafetensorError) as error:
            raise BrokenPolicy(f"{self.name}: {ADAPTER} cannot be read ({error}); train the policy again.") from None
        factors: dict[str, set[str]] = {}
        for name in self._file.keys():  # noqa: SIM118 - no dictionary
            module, _, factor = name.removesuffix(".weight").rpartition(".")
            if factor not in ("lora_A", "lora_B") or not name.endswith(".weight"):
                raise BrokenPolicy(f"{self.name} holds {name}, {_other_tensor(name)}")
            factors.setdefault(module, set()).add(factor)
        for module, names in factors.items():
            if len(names) < 2:
                raise self._broken(f"{module} has {names.pop()} alone instead of lora_A and lora_B")
        if not factors:
            raise self._broken("it changes no module")
        self.modules = frozenset(factors)
        """The names of the modules that it changes, as its tensors have them."""

    @property
    def rank(self) -> int:
        """The highest rank of any module."""
        return self.config.rank

    @property
    def kinds(self) -> frozenset[str]:
        """The last parts of its modules' names, such as `q_proj`."""
        return frozenset(module.rpartition(".")[2] for module in self.modules)

    def check(self, base: BaseModules | None) -> None:
        """Whether it can be used on a base: the one check for storing, promoting, serving and mixing adapters.

        Every declared module of the base, and no other, must have finite factors of the declared rank and of the
        module's shape. Without the base, with None, the shapes and what may be missing are not known. Raises
        BrokenPolicy.
        """
        import torch

        for module in sorted(self.modules):
            name = base_name(module)
            if not self.config.targets(name):
                raise self._broken(f"{name} is not a target module of its configuration")
            down, up = self.factors(module)
            rank = self.config.rank_of(name)
            if down.ndim != 2 or up.ndim != 2 or not down.shape[0] == up.shape[1] == rank:
                shapes = f"{list(down.shape)} and {list(up.shape)}"
                raise self._broken(f"{name} has factors of {shapes}, which is not rank {rank}")
            if base is not None:
                self._check_shape(base, name, (up.shape[0], down.shape[1]))
            if not (torch.isfinite(down).all() and torch.isfinite(up).all()):
                raise self._broken(f"{name} has values that are not finite")
        if missing := self._missing(base):
            raise self._broken(missing)

    def update(self, module: str) -> "Tensor":
        """The update of a module's weight: float32 [out, in], or a single zero for a module that does not change."""
        import torch

        if module not in self.modules:
            return torch.zeros(1)
        down, up = self.factors(module)
        return up @ down * self.scale(module)

    def scale(self, module: str) -> float:
        """The factor of B A in the update of a module."""
        return self.config.scale_of(base_name(module))

    def factors(self, module: str) -> "tuple[Tensor, Tensor]":
        """A, float32 [rank, in], and B, float32 [out, rank]."""
        down, up = (self._file.get_tensor(f"{module}.{factor}.weight").float() for factor in ("lora_A", "lora_B"))
        return down, up

    def _check_shape(self, base: BaseModules, name: str, shape: tuple[int, int]) -> None:
        if name not in base.shapes:
            raise self._broken(f"the base has no linear layer {name}")
        if shape != base.shapes[name]:
            raise self._broken(f"{name} has an update of {list(shape)}, but a shape of {list(base.shapes[name])}")

    def _missing(self, base: BaseModules | None) -> str | None:
        """What the configuration declares and the tensors lack; without the base, only what is missing on any base."""
        names = {base_name(module) for module in self.modules}
        if base is not None:
            missing = sorted(base.declared_by(self.config) - names)
            return f"{missing[0]} is a target module without an update" if missing else None
        targets, layers = self.config.target_modules, self.config.layers_to_transform
        if isinstance(targets, str) or self.config.exclude_modules:
            return None
        numbers = [layers] if isinstance(layers, int) else layers
        for target in targets:
            for layer in [f".{number}." for number in numbers] if numbers else [""]:
                if not any(layer in name and f".{name}".endswith(f".{target}") for name in names):
                    return f"{target} has no update in layer {layer.strip('.') or 'any'}"
        return None

    def _broken(self, what: str) -> BrokenPolicy:
        return BrokenPolicy(f"{self.name}: {what}; restore the adapter or train the policy again.")


def _other_tensor(name: str) -> str:
    """What a tensor is that plain LoRA does not have, and what to do, as the end of a sentence."""
    *_, owner, kind = f"..{name}".split(".")
    if "lora_magnitude_vector" in (owner, kind):
        return "by which DoRA rescales a weight; train it as plain LoRA."
    if kind.startswith("lora_embedding_"):
        return "an update of embeddings; train it without them among target_modules."
    if kind == "bias":
        return "a bias; train it with bias='none' and without lora_bias."
    if kind == "weight" and not owner.startswith("lora_"):
        return "a whole weight of the base; save it with save_embedding_layers=False and without modules_to_save."
    return "which is not part of plain LoRA; train it as plain LoRA."


def base_name(module: str) -> str:
    """A module's name in the base, by its name in an adapter's tensors."""
    return module.removeprefix(_PREFIX)


def relative_difference(adapter: LoraAdapter, other: LoraAdapter) -> float | None:
    """`|U - V| / |V|` by the Frobenius norm over all modules; U and V are the updates of two adapters of one base.

    None when V is zero.
    """
    difference = size = 0.0
    for module in sorted(adapter.modules | other.modules):
        update, reference = adapter.update(module), other.update(module)
        difference += float((update - reference).double().square().sum())
        size += float(reference.double().square().sum())
    return sqrt(difference / size) if size else None
