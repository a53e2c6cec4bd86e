"""Where models run and in which precision: the same rule for reward models, training and the engine."""

import os
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch


def compute_device() -> "torch.device":
    """The GPU of this process, by the launcher's LOCAL_RANK; the CPU if there is no GPU."""
    import torch

    return torch.device(f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu")


def compute_dtype() -> "torch.dtype":
    """bfloat16 on a GPU, and on CPUs for which oneDNN has bfloat16 kernels (AVX-512 and later); float32 elsewhere.

    On a CPU with AVX2 alone, bfloat16 is emulated and takes ten times as long as float32.
    """
    import torch

    if torch.cuda.is_available():
        return torch.bfloat16
    fast = torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.bfloat16 if fast else torch.float32


def compute_dtype_name() -> Literal["bfloat16", "float32"]:
    """The name of `compute_dtype`, as vLLM takes it."""
    import torch

    return "bfloat16" if compute_dtype() == torch.bfloat16 else "float32"
