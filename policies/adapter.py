"""A stored adapter: whether its tensors match its configuration, and how much two adapters differ."""

import json
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from policies.store.errors import BrokenPolicy, first_error
from policies.store.versions import ADAPTER, ADAPTER_CONFIG

if TYPE_CHECKING:
    from torch import Tensor


class AdapterConfig(BaseModel):
    """The part of PEFT's `adapter_config.json` that determines the update: plain LoRA, one rank for all modules."""

    model_config = ConfigDict(frozen=True)

    peft_type: Literal["LORA"]
    r: int = Field(ge=1)
    lora_alpha: float
    target_modules: list[str]
    layers_to_transform: list[int] | None = None
    use_rslora: bool = False
    fan_in_fan_out: bool = False
    """Whether the base stores its weights transposed, [in, out], as GPT-2 does."""
    use_dora: Literal[False] = False
    rank_pattern: dict[str, int] = Field({}, max_length=0)
    alpha_pattern: dict[str, float] = Field({}, max_length=0)

    @property
    def scale(self) -> float:
        """The factor of B A in the update (Hu et al. 2021; Kalajdzievski 2023 for the square root)."""
        return self.lora_alpha / (sqrt(self.r) if self.use_rslora else self.r)


class LoraAdapter:
    """A stored adapter, read module by module without its base model."""

    def __init__(self, directory: Path) -> None:
        """Raises BrokenPolicy when configuration or tensors cannot be read or are not those of a LoRA adapter."""
        from safetensors import SafetensorError, safe_open

        self.directory = directory
        try:
            content = json.loads((directory / ADAPTER_CONFIG).read_text(encoding="utf-8"))
            self.config = AdapterConfig.model_validate(content)
            self._file = safe_open(directory / ADAPTER, framework="pt")
        except ValidationError as error:
            raise BrokenPolicy(f"{directory / ADAPTER_CONFIG}: {first_error(error)}; train it as plain LoRA.") from None
        except (OSError, ValueError, SafetensorError) as error:
            raise BrokenPolicy(f"{directory}: the adapter cannot be read ({error}); train the policy again.") from None
        factors: dict[str, set[str]] = {}
        for name in self._file.keys():  # noqa: SIM118 - no dictionary
            module, _, factor = name.removesuffix(".weight").rpartition(".")
            factors.setdefault(module, set()).add(factor)
        for module, names in factors.items():
            if names != {"lora_A", "lora_B"}:
                raise self._broken(f"{module or 'it'} has {', '.join(sorted(names))} instead of just lora_A and lora_B")
        self.modules = frozenset(factors)

    def check(self) -> None:
        """Raises BrokenPolicy unless every target module, and no other, has finite factors of the configured rank."""
        import torch

        for target in self.config.target_modules:
            layers = self.config.layers_to_transform
            for layer in [""] if layers is None else [f".{layer}." for layer in layers]:
                if not any(layer in module and module.endswith(f".{target}") for module in self.modules):
                    raise self._broken(f"{target} has no update in layer {layer.strip('.') or 'any'}")
        for module in sorted(self.modules):
            if not module.endswith(tuple(f".{target}" for target in self.config.target_modules)):
                raise self._broken(f"{module} is not a target module")
            down, up = self.factors(module)
            if down.ndim != 2 or up.ndim != 2 or not down.shape[0] == up.shape[1] == self.config.r:
                shapes = f"{list(down.shape)} and {list(up.shape)}"
                raise self._broken(f"{module} has factors of {shapes}, which is not rank {self.config.r}")
            if not (torch.isfinite(down).all() and torch.isfinite(up).all()):
                raise self._broken(f"{module} has values that are not finite")

    def update(self, module: str) -> "Tensor":
        """The update of a module's weight: float32 [out, in], or a single zero for a module that does not change."""
        import torch

        if module not in self.modules:
            return torch.zeros(1)
        down, up = self.factors(module)
        return up @ down * self.config.scale

    def factors(self, module: str) -> "tuple[Tensor, Tensor]":
        """A, float32 [rank, in], and B, float32 [out, rank]."""
        down, up = (self._file.get_tensor(f"{module}.{factor}.weight").float() for factor in ("lora_A", "lora_B"))
        return down, up

    def _broken(self, what: str) -> BrokenPolicy:
        return BrokenPolicy(f"{self.directory}: {what}; restore the adapter or train the policy again.")


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
