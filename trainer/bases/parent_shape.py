"""The shape of a parent's adapter, which the policies that start from it share."""

from pathlib import Path
from typing import Any

from policies.adapters.lora import LoraAdapter
from policies.base import BaseModel
from rewards.errors import FgctlError
from trainer.bases.adapter_modules import target_modules
from trainer.bases.load_base import load_skeleton
from trainer.recipe import LoraRecipe


def parent_shape(lora: LoraRecipe, parent: Path, base: BaseModel) -> LoraRecipe:
    """The recipe of the parent's adapter, as policies that start from it are recorded.

    Raises FgctlError when the recipe names another shape: a policy starts as a copy of its parent.
    """
    adapter = LoraAdapter(parent)
    targets, layers = adapter.config.target_modules, adapter.config.layers_to_transform
    shape: dict[str, Any] = {
        "rank": adapter.config.r,
        "alpha": adapter.config.lora_alpha,
        "target_modules": tuple(sorted(adapter.kinds if isinstance(targets, str) else targets)),
        "top_layers": None if layers is None else len([layers] if isinstance(layers, int) else layers),
    }
    wanted = {name: getattr(lora, name) for name in lora.model_fields_set}
    if "target_modules" in wanted:
        wanted["target_modules"] = tuple(target_modules(lora, load_skeleton(base), base.name))
    for name, value in wanted.items():
        if value != shape[name]:
            raise FgctlError(
                f"lora.{name} is {_shown(value)}, but the parent's adapter has {_shown(shape[name])}, and policies "
                f"start from it; leave lora.{name} out, or train a parent with it by `fgctl sft`."
            )
    return lora.model_copy(update=shape)


def _shown(value: Any) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)
