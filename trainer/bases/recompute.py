"""Gradient checkpointing (Chen et al. 2016): layers keep only their inputs and run again in the backward pass."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from rewards.errors import FgctlError


def recompute_layers(model: nn.Module) -> None:
    """Let the model's layers recompute what they do not keep, whenever gradients are computed.

    transformers does so only in training mode, in which dropout would be on. Raises FgctlError for a model without
    layers that can do so.
    """
    layers = [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
    if not layers:
        raise FgctlError("The base's layers cannot be recomputed; leave out gradient_checkpointing.")
    for layer in layers:
        layer.forward = _recomputed(layer.forward)


def _recomputed(forward: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(forward)
    def run(*args: Any, **kwargs: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*args, **kwargs)
        return checkpoint(forward, *args, use_reentrant=False, preserve_rng_state=False, **kwargs)

    return run
