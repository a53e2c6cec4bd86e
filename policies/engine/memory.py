"""The memory that an engine needs, by arithmetic: before a download of weights or an hour of a large machine is lost.

Every rank of a data-parallel engine holds the whole model; tensor and pipeline parallelism divide it among devices.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil, prod
from pathlib import Path
from typing import Any

_ITEM_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "half": 2, "float": 4}
_CACHE_BYTES = {"fp8": 1, "int8": 1, "nvfp4": 0.5, "int4": 0.5}
"""Bytes of a number in the cache, by the beginning of `kv_cache_dtype`; otherwise those of the model's type."""
_QUANTISED_BYTES = {"fp8": 1.0, "int8": 1.0, "experts_int8": 1.0, "bitsandbytes": 0.5}
"""Bytes of a weight, by the beginning of `quantization`, where the weights are quantised as they are loaded."""
_PROCESS_BYTES = 1.2 * 2**30
"""A worker on a CPU with its core, without weights and cache: libraries, activations, buffers."""
_GPU_BYTES = 2.0 * 2**30
"""A worker on a GPU: its context, activations, and CUDA graphs."""


@dataclass(frozen=True)
class Layout:
    """How an engine is divided."""

    data: int = 1
    tensor: int = 1
    pipeline: int = 1

    @property
    def devices(self) -> int:
        """GPUs, or processes on CPUs, that hold a part of the model."""
        return self.data * self.tensor * self.pipeline


@dataclass(frozen=True)
class Model:
    """What memory depends on."""

    parameters: int
    stored_bytes: int
    """Size of the weights on disk."""
    quantised: bool
    """Whether the weights are quantised on disk."""
    layers: int
    kv_heads: int
    head_width: int

    @classmethod
    def of(cls, path: Path) -> "Model":
        """The model in a directory, by its configuration and the headers of its weights."""
        from transformers import AutoConfig

        config: Any = AutoConfig.from_pretrained(path)
        config = config.get_text_config()
        parameters = stored = 0
        for file in path.glob("*.safetensors"):
            for tensor in _tensors(file):
                begin, end = tensor["data_offsets"]
                stored += end - begin
                parameters += prod(tensor["shape"])
        heads = config.num_attention_heads
        return cls(
            parameters, stored, getattr(config, "quantization_config", None) is not None, config.num_hidden_layers,
            getattr(config, "num_key_value_heads", None) or heads,
            getattr(config, "head_dim", None) or config.hidden_size // heads,
        )  # fmt: skip

    def weights_bytes(self, dtype: str, quantization: str | None = None) -> float:
        """All weights as they are loaded."""
        if self.quantised:
            return self.stored_bytes
        return self.parameters * (_by_beginning(_QUANTISED_BYTES, quantization) or _ITEM_BYTES.get(dtype, 2))

    def token_bytes(self, layout: Layout, dtype: str, cache_dtype: str = "auto") -> float:
        """Key-value cache of a token on one device: keys and values of its layers and heads."""
        item = _by_beginning(_CACHE_BYTES, cache_dtype) or _ITEM_BYTES.get(dtype, 2)
        # Every device has a whole head, also where there are more devices than heads.
        return 2 * ceil(self.layers / layout.pipeline) * ceil(self.kv_heads / layout.tensor) * self.head_width * item


@dataclass(frozen=True)
class Needs:
    """What one device of an engine needs, in bytes."""

    weights: float
    adapters: float
    process: float
    cache: float
    cache_tokens: int
    """Tokens that fit into the cache of one rank."""

    @property
    def total(self) -> float:
        """All of it."""
        return self.weights + self.adapters + self.process + self.cache


def adapter_bytes(
    shapes: Mapping[str, tuple[int, int]], kinds: Iterable[str], rank: int, adapters: int, layout: Layout, dtype: str
) -> float:
    """The slots for adapters on one device.

    `shapes` are output and input width of each linear layer by name; an adapter has rank x (output + input) numbers for
    each of those whose name ends in one of `kinds`. One of its two factors is divided among tensor-parallel devices.
    """
    adapted = [shape for name, shape in shapes.items() if name.rpartition(".")[2] in set(kinds)]
    numbers = sum(rank * (out / layout.tensor + into) for out, into in adapted)
    return adapters * numbers * _ITEM_BYTES.get(dtype, 2) / layout.pipeline


def needs(
    model: Model, layout: Layout, arguments: Mapping[str, Any], adapters: float, gpu_bytes: float | None
) -> Needs:
    """What a device needs for these engine arguments; `gpu_bytes` is the memory of a GPU, None on a CPU.

    On a GPU, the cache is what the share of its memory leaves, unless its size is given.
    """
    dtype = str(arguments.get("dtype", "bfloat16"))
    weights = model.weights_bytes(dtype, arguments.get("quantization")) / (layout.tensor * layout.pipeline)
    process = _PROCESS_BYTES if gpu_bytes is None else _GPU_BYTES
    cache = arguments.get("kv_cache_memory_bytes")
    if cache is None:
        share = (gpu_bytes or 0.0) * float(arguments.get("gpu_memory_utilization", 0.9))
        cache = max(0.0, share - weights - adapters - process)
    token = model.token_bytes(layout, dtype, str(arguments.get("kv_cache_dtype", "auto")))
    return Needs(weights, adapters, process, cache, int(cache / token))


def _by_beginning(values: Mapping[str, float], name: str | None) -> float | None:
    return next((value for beginning, value in values.items() if (name or "").startswith(beginning)), None)


def _tensors(file: Path) -> Iterable[dict[str, Any]]:
    """The header of a safetensors file: https://huggingface.co/docs/safetensors/index#format."""
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(length))
    return (tensor for name, tensor in header.items() if name != "__metadata__")
