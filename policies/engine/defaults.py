"""What an engine is started with unless the user says otherwise: one table for CPUs and GPUs, with reasons."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rewards.compute import compute_device

Device = Literal["cpu", "gpu"]
SEQUENCES: Mapping[Device, int] = {"cpu": 32, "gpu": 256}
"""Sequences that an engine decodes at once."""
_SHARE, _SHARE_BESIDE_TRAINING = 0.9, 0.4
_FEWEST_TOKENS = 2048
"""Tokens that a step takes at least, whatever the context."""


@dataclass(frozen=True)
class Use:
    """What an engine is for."""

    context: int
    """Most tokens of prompt and response together."""
    cache_bytes: int
    """Key-value cache on a CPU."""
    sequences: int | None = None
    """Sequences decoded at once; None for SEQUENCES."""
    compiled: bool = False
    """Whether to compile on a CPU."""
    beside_training: bool = False
    """Whether a GPU is shared with the model that is trained."""


@dataclass(frozen=True)
class Default:
    """An engine argument's default."""

    argument: str
    cpu: Any
    gpu: Any
    """Like `cpu`, None leaves the choice to vLLM."""
    why: str


def device() -> Device:
    """Where engines of this machine run."""
    return "gpu" if compute_device().type == "cuda" else "cpu"


def defaults(use: Use) -> tuple[Default, ...]:
    """The table."""
    return (
        Default(
            "max_num_seqs", use.sequences or SEQUENCES["cpu"], use.sequences or SEQUENCES["gpu"],
            "so many keep the cores of a CPU busy; a GPU decodes hundreds for little more than the price of one",
        ),
        Default(
            "enable_chunked_prefill", False, True,
            "a chunked prompt rewinds the generator of a request with a seed, and generators on a CPU cannot rewind; "
            "on a GPU, chunks keep long prompts from delaying everybody's next token",
        ),
        Default(
            "max_num_batched_tokens", max(_FEWEST_TOKENS, use.context), None,
            "without chunks a step must take the longest prompt whole; with them vLLM knows what suits the GPU",
        ),
        Default(
            "enforce_eager", not use.compiled, False,
            "compiling takes minutes at every start on a CPU; on a GPU, CUDA graphs save the launch of every kernel",
        ),
        Default(
            "kv_cache_memory_bytes", use.cache_bytes, None,
            "a CPU's memory is shared with scoring, the file cache and other programs; on a GPU the next row decides",
        ),
        Default(
            "gpu_memory_utilization", None, _SHARE_BESIDE_TRAINING if use.beside_training else _SHARE,
            "share of a GPU's memory for weights, adapters and cache: in service only the small reward models need the "
            "rest, in training the model that is trained does",
        ),
        Default(
            "enable_prefix_caching", True, True, "requests share the system prompt, and a prompt's samples the prompt"
        ),
    )  # fmt: skip


def default_arguments(use: Use, where: Device) -> dict[str, Any]:
    """The table's column for a device, without what is left to vLLM."""
    values = {row.argument: row.cpu if where == "cpu" else row.gpu for row in defaults(use)}
    return {argument: value for argument, value in values.items() if value is not None}
