"""Which modules of a base an adapter changes: those of attention, all linear ones, or those that the recipe names.

Architectures name their modules differently (`q_proj`, `qkv_proj`, `c_attn`, `query_key_value`), so `attention` and
`all-linear` are resolved to the names that the base at hand has.
"""

from collections.abc import Iterable
from typing import Any

from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers.pytorch_utils import Conv1D

from rewards.errors import FgctlError
from trainer.recipe import LoraRecipe


def with_fresh_adapter(model: Any, lora: LoraRecipe, base: str, adapter: str) -> PeftModel:
    """The model with a fresh adapter of that name. Raises FgctlError for what the base cannot have."""
    config = lora_config(lora, model, base)
    try:
        return get_peft_model(model, config, adapter_name=adapter)
    except ValueError as error:
        reason = str(error).partition(". ")[0]
        raise FgctlError(
            f"Base model {base} cannot have an adapter on {', '.join(sorted(config.target_modules or ()))} ({reason}); "
            f"name other modules by lora.target_modules, or use another base."
        ) from None


def lora_config(lora: LoraRecipe, model: Any, base: str) -> LoraConfig:
    """PEFT's configuration of a fresh adapter on the model. Raises FgctlError for what the base cannot have."""
    layers = int(model.config.get_text_config().num_hidden_layers)
    if lora.top_layers is not None and lora.top_layers > layers:
        raise FgctlError(f"lora.top_layers is {lora.top_layers}, but the base has only {layers} layers; lower it.")
    modules = target_modules(lora, model, base)
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]
        target_modules=modules,
        layers_to_transform=None if lora.top_layers is None else list(range(layers - lora.top_layers, layers)),
        # GPT-2's layers hold their weights transposed, [in, out].
        fan_in_fan_out=any(isinstance(m, Conv1D) for name, m in linear_modules(model).items() if _ends(name, modules)),
        lora_dropout=0.0,
        bias="none",
        task_type="CAUSAL_LM",
    )


def target_modules(lora: LoraRecipe, model: nn.Module, base: str) -> list[str]:
    """The ends of the names of the modules that the recipe asks for, sorted, as PEFT takes them.

    Raises FgctlError, naming the linear modules there are, when the base lacks one.
    """
    linear, every = linear_modules(model), [name for name, module in model.named_modules() if _is_linear(module)]
    if lora.target_modules == "all-linear":
        return _shortest(linear, every)
    if lora.target_modules == "attention":
        if attention := [name for name in linear if _in_attention(model, name)]:
            return _shortest(attention, every)
        missing = "no module of attention"
    else:
        absent = [name for name in lora.target_modules if not any(_ends(module, [name]) for module in linear)]
        if not absent:
            return sorted(lora.target_modules)
        missing = f"no module {', '.join(absent)}"
    raise FgctlError(
        f"Base model {base} has {missing} for an adapter; its linear modules are "
        f"{', '.join(_shortest(linear, every)) or 'none'}: name some by lora.target_modules."
    )


def linear_modules(model: nn.Module) -> dict[str, nn.Module]:
    """The linear modules of the model's layers by their whole names: those of numbered blocks, not the output's.

    Routers, which choose experts, are left out: some return more than a product.
    """
    return {
        name: module
        for name, module in model.named_modules()
        if _is_linear(module) and any(part.isdigit() for part in name.split("."))
        if "router" not in type(module).__name__.lower()
    }


def _is_linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear | Conv1D)


def _in_attention(model: nn.Module, name: str) -> bool:
    """Whether a module is part of an attention block, by the classes of the modules around it."""
    parts = name.split(".")
    around = (model.get_submodule(".".join(parts[:length])) for length in range(1, len(parts)))
    return any("attention" in type(module).__name__.lower() for module in around)


def _shortest(chosen: Iterable[str], every: Iterable[str]) -> list[str]:
    """The shortest ends of the chosen names that no other name has, sorted: `o_proj`, or `attn.c_proj` where the
    feed-forward layers have a `c_proj` as well."""
    chosen = set(chosen)
    others, ends = set(every) - chosen, set()
    for name in chosen:
        parts = name.split(".")
        for length in range(1, len(parts)):
            end = ".".join(parts[-length:])
            if not any(_ends(other, [end]) for other in others):
                ends.add(end)
                break
    return sorted(ends)


def _ends(module: str, names: Iterable[str]) -> bool:
    return any(module == name or module.endswith(f".{name}") for name in names)
