"""`adapter_config.json`: what it says of an adapter's update, and the features of PEFT that are not served."""

import json
import re
from math import sqrt
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from policies.errors import BrokenPolicy, first_error

Value = TypeVar("Value")

ADAPTER_CONFIG = "adapter_config.json"
BASE_LOADED_FROM = "base_model_name_or_path"
"""The key of what PEFT and vLLM load the adapter's base by."""
ALL_LINEAR = "all-linear"
"""PEFT's word for every linear layer but the last."""

_PLAIN_STARTS = frozenset({"gaussian", "eva", "orthogonal", "mica", "lora_ga"})
"""Initialisations that leave the base's weights as they are. Others, such as PiSSA, OLoRA, CorDA and LoftQ, do not."""
_NOT_SERVED = {
    "use_dora": "is DoRA, which rescales the base's weights too",
    "lora_bias": "has biases",
    "modules_to_save": "replaces whole modules",
    "trainable_token_indices": "replaces embeddings of single tokens",
    "target_parameters": "changes parameters outside of linear layers",
    "layer_replication": "repeats layers of the base",
    "alora_invocation_tokens": "is an activated LoRA, which changes only what follows certain tokens",
    "use_qalora": "is QA-LoRA, which averages its input",
    "use_bdlora": "is block-diagonal",
    "kasa_config": "is KaSA, which changes the base's weights too",
    "arrow_config": "routes between several adapters",
}
"""Settings that make an adapter something else than plain LoRA, and what they make it."""


class AdapterConfig(BaseModel):
    """The settings that determine the update of plain LoRA."""

    model_config = ConfigDict(frozen=True)

    peft_type: Literal["LORA"]
    r: int = Field(ge=1)
    lora_alpha: float
    target_modules: list[str] | str
    """Ends of modules' names, or a regular expression that matches whole names."""
    exclude_modules: list[str] | str | None = None
    layers_to_transform: list[int] | int | None = None
    layers_pattern: list[str] | str | None = None
    use_rslora: bool = False
    fan_in_fan_out: bool = False
    """Whether the base stores its weights transposed, [in, out], as GPT-2 does."""
    rank_pattern: dict[str, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    """Ranks that differ from `r`, by a regular expression for the end of a module's name; the first match counts."""
    alpha_pattern: dict[str, float] = Field(default_factory=dict)
    base_model_name_or_path: str | None = None
    """What PEFT loads the base by; None in adapters that were stored before it was recorded."""

    @field_validator("rank_pattern", "alpha_pattern", mode="before")
    @classmethod
    def _none_is_empty(cls, patterns: Any) -> Any:
        return {} if patterns is None else patterns

    @field_validator("target_modules", "exclude_modules", "rank_pattern", "alpha_pattern")
    @classmethod
    def _compiled(cls, value: Any) -> Any:
        for expression in [value] if isinstance(value, str) else value if isinstance(value, dict) else ():
            try:
                re.compile(expression)
            except re.error as error:
                raise ValueError(f"{expression!r} is not a regular expression ({error})") from None
        return value

    @property
    def rank(self) -> int:
        """The highest rank of any module, for which an engine needs room."""
        return max([self.r, *self.rank_pattern.values()])

    def rank_of(self, module: str) -> int:
        """The rank of a module's update; `module` is its name in the base."""
        return _first_match(self.rank_pattern, module, self.r)

    def scale_of(self, module: str) -> float:
        """The factor of B A in a module's update (Hu et al. 2021; Kalajdzievski 2023 for the square root)."""
        rank = self.rank_of(module)
        return _first_match(self.alpha_pattern, module, self.lora_alpha) / (sqrt(rank) if self.use_rslora else rank)

    def targets(self, module: str) -> bool:
        """Whether PEFT adapts a module of this name; ALL_LINEAR stands for every name."""
        if self.exclude_modules and _names(self.exclude_modules, module):
            return False
        if self.target_modules == ALL_LINEAR:
            return True
        if not _names(self.target_modules, module):
            return False
        return isinstance(self.target_modules, str) or self._in_layers(module)

    def _in_layers(self, module: str) -> bool:
        layers = self.layers_to_transform
        if layers is None or layers == []:
            return True
        patterns = [self.layers_pattern] if isinstance(self.layers_pattern, str) else self.layers_pattern
        expressions = [rf"(?:^|.*?\.){pattern}\.(\d+)\." for pattern in patterns or () if pattern]
        for expression in expressions or [r".*?\.[^.]*\.(\d+)\."]:
            if match := re.match(expression, module):
                return int(match[1]) in ([layers] if isinstance(layers, int) else layers)
        return False


def read_config(directory: Path, name: str) -> AdapterConfig:
    """The configuration of the adapter in a directory, which messages call `name`.

    Raises BrokenPolicy when it cannot be read, and for everything but plain LoRA.
    """
    try:
        content = json.loads((directory / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise BrokenPolicy(f"{name}: {ADAPTER_CONFIG} cannot be read ({reason}); train the policy again.") from None
    try:
        config = AdapterConfig.model_validate(content)
    except ValidationError as error:
        raise BrokenPolicy(f"{name}: {ADAPTER_CONFIG}: {first_error(error)}; train it as plain LoRA.") from None
    if reason := _not_served(content):
        raise BrokenPolicy(f"{name} {reason}")
    return config


def _not_served(content: dict[str, Any]) -> str | None:
    """Why an adapter is not plain LoRA, as the end of a sentence; None if it is."""
    start = content.get("init_lora_weights", True)
    if isinstance(start, str) and start.lower() not in _PLAIN_STARTS:
        return (
            f"began from {start} (init_lora_weights), which changes the base's weights; let PEFT save it as plain LoRA "
            f"by save_pretrained's path_initial_model_for_weight_conversion."
        )
    if content.get("bias", "none") != "none":
        return f"has biases (bias is {content['bias']!r}); train it as plain LoRA."
    for setting, what in _NOT_SERVED.items():
        if content.get(setting):
            return f"{what} ({setting}); train it as plain LoRA."
    return None


def _names(targets: list[str] | str, module: str) -> bool:
    """PEFT's rule: a regular expression for the whole name, or the name itself or its end."""
    if isinstance(targets, str):
        return re.fullmatch(targets, module) is not None
    return any(module == target or module.endswith(f".{target}") for target in targets)


def _first_match(patterns: dict[str, Value], module: str, otherwise: Value) -> Value:
    return next((value for key, value in patterns.items() if re.match(rf"(.*\.)?({key})$", module)), otherwise)
