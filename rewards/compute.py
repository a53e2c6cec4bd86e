"""Where models run and in which precision: the same rule for reward models, training and the engine."""

import os
import platform
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch


def compute_device() -> "torch.device":
    """The GPU of this process, by the launcher's LOCAL_RANK; the CPU if there is no GPU."""
    import torch

    return torch.device(f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu")


def compute_dtype() -> "torch.dtype":
    """bfloat16 on a GPU, and on CPUs that multiply it in hardware (AMX, or ARM's own); float32 elsewhere.

    Without AMX, x86 takes two to ten times as long for bfloat16 as for float32, AVX-512's bfloat16 instructions or not.
    """
    import torch

    if torch.cuda.is_available():
        return torch.bfloat16
    fast = torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    x86 = platform.machine() in ("x86_64", "AMD64")
    return torch.bfloat16 if fast and (not x86 or torch.cpu._is_amx_tile_supported()) else torch.float32


def compute_dtype_name() -> Literal["bfloat16", "float32"]:
    """The name of `compute_dtype`, as vLLM takes it."""
    import torch

    return "bfloat16" if compute_dtype() == torch.bfloat16 else "float32"
