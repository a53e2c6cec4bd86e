"""Where models run and in which precision: the same rule for reward models, training and the engine."""

import os
import time
from functools import cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

_TURNS = 10
"""Timed products in each precision; the first ones also warm up."""
_FASTER = 0.75


def compute_device() -> "torch.device":
    """The GPU of this process, by the launcher's LOCAL_RANK; the CPU if there is no GPU."""
    import torch

    return torch.device(f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu")


def compute_dtype() -> "torch.dtype":
    """bfloat16 on a GPU, and on CPUs that multiply it faster than float32; float32 elsewhere.

    A short product is timed once per process, because the instruction set does not tell: of CPUs with AVX-512's
    bfloat16 and without AMX, some multiply it faster than float32 and others more slowly.
    """
    import torch

    if torch.cuda.is_available():
        return torch.bfloat16
    fast = torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.bfloat16 if fast and _multiplies_faster() else torch.float32


@cache
def _multiplies_faster() -> bool:
    """Whether a product in bfloat16 takes at most three quarters of the time of one in float32.

    The fastest of several turns counts, because other work on the machine delays it least.
    """
    import torch

    exact = torch.ones(512, 768), torch.ones(768, 768)
    short = tuple(factor.bfloat16() for factor in exact)

    def seconds(factors: tuple[torch.Tensor, ...]) -> float:
        start = time.perf_counter()
        torch.mm(*factors)
        return time.perf_counter() - start

    turns = [(seconds(short), seconds(exact)) for _ in range(_TURNS)]
    return min(s for s, _ in turns) < _FASTER * min(e for _, e in turns)


def compute_dtype_name() -> Literal["bfloat16", "float32"]:
    """The name of `compute_dtype`, as vLLM takes it."""
    import torch

    return "bfloat16" if compute_dtype() == torch.bfloat16 else "float32"
