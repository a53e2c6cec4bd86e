"""LoRA on a CPU by packed adapters (`packed_adapters.py`): a vLLM plugin, loaded in every engine process.

vLLM's own CPU path gathers a copy of the adapter's weights for every token. It also looks up the slot -1 of a base
request as the last slot, so that in a mixed batch some adapter answers a base request. These kernels do neither, and
are one operator to torch's compiler, so that models with adapters can be compiled too.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU

from service.engine.packed_adapters import Packed, Rows, Step


def register() -> None:
    """Make vLLM's CPU platform use these kernels; other platforms keep their own."""
    from vllm.platforms import current_platform

    if current_platform.is_cpu():
        name = f"{__name__}.{PackedPunicaWrapper.__name__}"
        type(current_platform).get_punica_wrapper = classmethod(lambda cls: name)  # type: ignore[assignment]
        allow_compiling(type(current_platform))


def allow_compiling(platform: Any) -> None:
    """Let vLLM's CPU platform compile models with adapters just as it compiles others.

    vLLM's own LoRA kernels cannot be traced, so it never compiles models with adapters. These kernels are one operator
    to the compiler.
    """
    original = platform.check_and_update_config.__func__
    if original.__module__ == __name__:
        return  # already done: a process may load its plugins again

    def check_and_update_config(cls: Any, vllm_config: Any) -> None:
        adapters, vllm_config.lora_config = vllm_config.lora_config, None
        try:
            original(cls, vllm_config)
        finally:
            vllm_config.lora_config = adapters

    platform.check_and_update_config = classmethod(check_and_update_config)


class PackedPunicaWrapper(PunicaWrapperCPU):
    """PunicaWrapperCPU that multiplies by packed adapters."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._step = Step(())
        self._number = len(_wrappers)
        _wrappers.append(self)
        self._packed: dict[int, tuple[Tensor, int, Packed]] = {}

    def update_metadata(self, *args: Any, **kwargs: Any) -> None:
        """Start a step with a new mapping of tokens to slots; vLLM calls this when the mapping has changed."""
        super().update_metadata(*args, **kwargs)
        self._step = Step(self.token_lora_indices.tolist())

    def add_lora_linear(
        self,
        y: Tensor,
        x: Tensor,
        lora_a_stacked: tuple[Tensor, ...],
        lora_b_stacked: tuple[Tensor, ...],
        scale: float,
        output_slices: tuple[int, ...],
        **kwargs: Any,
    ) -> None:
        """`y[rows] += scale * x[rows] A^T B^T` for each adapter's rows: y [N, out], x [N, in]."""
        if torch.compiler.is_compiling():
            torch.ops.fgctl.add_lora(y, x, list(lora_a_stacked), list(lora_b_stacked), scale, self._number)
        else:
            self.add_packed(y, x, lora_a_stacked, lora_b_stacked, scale)

    def add_packed(
        self, y: Tensor, x: Tensor, lora_a_stacked: Sequence[Tensor], lora_b_stacked: Sequence[Tensor], scale: float
    ) -> None:
        """What `add_lora_linear` computes, outside the code that torch traces."""
        step = self._step
        if not step.present:
            return
        packed = self._packed_of(lora_a_stacked, lora_b_stacked)
        # Rows after the step's own pad the batch.
        y, x = y.view(-1, y.shape[-1])[: step.length], x.view(-1, x.shape[-1])[: step.length]
        for turn in step.turns(packed):
            turn.add(y, x if scale == 1 else scale * x)

    def _packed_of(self, a_stacked: Sequence[Tensor], b_stacked: Sequence[Tensor]) -> Packed:
        """The packed adapters of the layer with these weights, packed again when a slot has changed.

        vLLM clears a slot in all slices before it writes to it, so the first slice's version reveals every change.
        """
        first = a_stacked[0]
        entry = self._packed.get(first.data_ptr())
        if entry is None or entry[1] != first._version:
            # The entry holds the weights, so that another layer's weights cannot get the same address.
            entry = self._packed[first.data_ptr()] = (first, first._version, Packed.of(a_stacked, b_stacked))
        return entry[2]

    def _apply_shrink(self, y: Tensor, x: Tensor, w_t_all: Tensor, scale: float) -> None:
        """`y[rows] = scale * x[rows] A^T`: y float32 [N, r], x [N, in], w_t_all [slots, 1, r, in]."""
        _shrink(self._step.groups(), y.view(-1, y.shape[-1]), x, w_t_all, scale)

    def _apply_expand(
        self, y: Tensor, x: Tensor, w_t_all: Tensor, y_offset: int, y_slice_size: int, add_inputs: bool = True
    ) -> None:
        """`y[rows, slice] += x[rows] B^T`: y [N, out], x float32 [N, r], w_t_all [slots, 1, size, r]."""
        _expand(self._step.groups(), y[:, y_offset : y_offset + y_slice_size], x, w_t_all, add_inputs)

    def add_lora_embedding(
        self, y: Tensor, x: Tensor, lora_b_stacked: Tensor, add_inputs: bool = True, **kwargs: Any
    ) -> None:
        """`y[rows] += x[rows] B^T` for embeddings, whose product with A is a lookup that vLLM has already done."""
        _expand(self._step.groups(), y, x, lora_b_stacked, add_inputs)

    def add_lora_logits(
        self,
        y: Tensor,
        x: Tensor,
        lora_a_stacked: Tensor,
        lora_b_stacked: Tensor,
        scale: float,
        *,
        buffer: Tensor | None = None,
        **kwargs: Any,
    ) -> None:
        """`y[rows] += scale * x[rows] A^T B^T`, with one row for each sequence instead of each token."""
        groups = Step(self.sampler_indices.tolist()).groups()
        x, y = x.view(-1, x.shape[-1]), y.view(-1, y.shape[-1])
        if buffer is None:
            buffer = torch.zeros((len(x), lora_b_stacked.size(-1)), dtype=torch.float32, device=x.device)
        _shrink(groups, buffer, x, lora_a_stacked, scale)
        _expand(groups, y, buffer, lora_b_stacked, add_inputs=True)


def _shrink(groups: list[tuple[int, Rows]], y: Tensor, x: Tensor, a: Tensor, scale: float) -> None:
    for slot, rows in groups:
        weight = a[slot].view(a.shape[-2:])
        y[rows, : len(weight)] = (scale * (x[rows].to(weight.dtype) @ weight.T)).to(y.dtype)


def _expand(groups: list[tuple[int, Rows]], y: Tensor, x: Tensor, b: Tensor, add_inputs: bool) -> None:
    # The adapter and the model may pad their outputs differently.
    width = min(y.shape[-1], b.shape[-2])
    for slot, rows in groups:
        weight = b[slot].view(b.shape[-2:])[:width]
        update = (x[rows].to(weight.dtype) @ weight.T).to(y.dtype)
        if add_inputs:
            y[rows, :width] += update
        else:
            y[rows, :width] = update


_wrappers: list[PackedPunicaWrapper] = []
"""The wrappers of this process; the operator takes a wrapper's number."""

_library = torch.library.Library("fgctl", "DEF")
_library.define("add_lora(Tensor(a!) y, Tensor x, Tensor[] a, Tensor[] b, float scale, int wrapper) -> ()")


def _add_lora(y: Tensor, x: Tensor, a: Sequence[Tensor], b: Sequence[Tensor], scale: float, wrapper: int) -> None:
    _wrappers[wrapper].add_packed(y, x, a, b, scale)


_library.impl("add_lora", _add_lora, "CPU")
torch.library.register_fake("fgctl::add_lora", lambda *_: None, lib=_library)
