"""A base's weights, or one sentence that says what is missing."""

import sys
from typing import Any

import torch

from policies.base import BaseModel
from rewards.errors import FgctlError

_SHOWN = 3
"""Missing weights that a message names."""


def load_model(base: BaseModel, dtype: torch.dtype, longest: int = 0) -> Any:
    """The causal language model in a precision.

    Raises FgctlError for a base that is not a causal language model of text alone, lacks weights, or has no position
    for the last of `longest` tokens.
    """
    from transformers import AutoModelForCausalLM

    config = load_config(base)
    if longest > (most := positions(config)):
        raise FgctlError(
            f"Base model {base.name} reads at most {most} tokens, and prompt and response may have {longest}; lower "
            f"the recipe's max_prompt_tokens or the length of responses."
        )
    loaded: Any
    try:
        loaded = AutoModelForCausalLM.from_pretrained(base.path, config=config, dtype=dtype, output_loading_info=True)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - of safetensors, torch, or the architecture's own code
        raise FgctlError(
            f"The weights of base model {base.name} cannot be loaded ({_reason(error)}); download it again."
        ) from None
    model, report = loaded
    if missing := sorted(report["missing_keys"]):
        names = ", ".join(missing[:_SHOWN]) + (f" and {len(missing) - _SHOWN} more" if missing[_SHOWN:] else "")
        raise FgctlError(f"Base model {base.name} has no weights for {names}; download it again.")
    return model


def load_skeleton(base: BaseModel) -> Any:
    """The model without its weights, for the names and classes of its modules. Raises FgctlError as load_model does."""
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(load_config(base))


def load_config(base: BaseModel) -> Any:
    """The configuration of a causal language model of text alone. Raises FgctlError for anything else."""
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(base.path)
    except Exception as error:  # noqa: BLE001 - of json, pydantic or the architecture's own code
        raise FgctlError(
            f"The architecture of base model {base.name} is unknown ({_reason(error)}); use one of transformers'."
        ) from None
    kind = f"Base model {base.name} ({config.model_type})"
    if config.get_text_config() is not config:
        raise FgctlError(f"{kind} reads more than text; use the text model of its family.")
    if config.is_encoder_decoder or type(config) not in AutoModelForCausalLM._model_mapping:
        raise FgctlError(f"{kind} is not a causal language model; use one that continues text.")
    return config


def positions(config: Any) -> int:
    """Tokens of the longest sequence that a base reads, by its configuration."""
    return int(getattr(config, "max_position_embeddings", None) or sys.maxsize)


def _reason(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "").rstrip(".") or type(error).__name__
