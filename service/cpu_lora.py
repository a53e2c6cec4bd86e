"""LoRA on a CPU by one matmul for each adapter of a batch; a vLLM plugin, loaded in every engine process.

vLLM's own CPU path gathers a copy of the adapter's weights for every token, and looks up the slot -1 of a base
request as the last slot, so that a base request in a mixed batch is answered by some adapter. Grouping the tokens by
slot once a step is faster and leaves base requests alone.
"""

from typing import Any

import torch
from torch import Tensor
from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU

Rows = slice | Tensor
"""Positions of one adapter's tokens: a slice where they are contiguous, else an int64 index."""


def register() -> None:
    """Make vLLM's CPU platform use the grouped wrapper; other platforms keep their kernels."""
    from vllm.platforms import current_platform

    if current_platform.is_cpu():
        name = f"{__name__}.{GroupedPunicaWrapper.__name__}"
        type(current_platform).get_punica_wrapper = classmethod(lambda cls: name)  # type: ignore[assignment]


def group_rows(slots: Tensor) -> list[tuple[int, Rows]]:
    """The rows of each adapter slot in int64 [N] slots, where -1 is the base: `(slot, rows)` by slot, without -1."""
    groups: list[tuple[int, Rows]] = []
    for slot in torch.unique(slots).tolist():
        if slot < 0:
            continue
        rows = torch.nonzero(slots == slot)[:, 0]
        first, last = int(rows[0]), int(rows[-1])
        groups.append((slot, slice(first, last + 1) if last - first + 1 == len(rows) else rows))
    return groups


class GroupedPunicaWrapper(PunicaWrapperCPU):
    """PunicaWrapperCPU with its shrink (x A^T) and expand (x B^T) done group by group."""

    _groups: list[tuple[int, Rows]]

    def update_metadata(self, *args: Any, **kwargs: Any) -> None:
        """Take over a step's mapping of tokens to slots, and group the tokens."""
        super().update_metadata(*args, **kwargs)
        self._groups = group_rows(self.token_lora_indices)

    def _apply_shrink(self, y: Tensor, x: Tensor, w_t_all: Tensor, scale: float) -> None:
        """`y[rows] = scale * x[rows] A^T`: y float32 [N, r], x [N, in], w_t_all [slots, 1, r, in]."""
        _shrink(self._groups, y.view(-1, y.shape[-1]), x, w_t_all, scale)

    def _apply_expand(
        self, y: Tensor, x: Tensor, w_t_all: Tensor, y_offset: int, y_slice_size: int, add_inputs: bool = True
    ) -> None:
        """`y[rows, slice] += x[rows] B^T`: y [N, out], x float32 [N, r], w_t_all [slots, 1, size, r]."""
        _expand(self._groups, y[:, y_offset : y_offset + y_slice_size], x, w_t_all, add_inputs)

    def add_lora_embedding(
        self, y: Tensor, x: Tensor, lora_b_stacked: Tensor, add_inputs: bool = True, **kwargs: Any
    ) -> None:
        """`y[rows] += x[rows] B^T`, for embeddings, whose A is a lookup that has already happened."""
        _expand(self._groups, y, x, lora_b_stacked, add_inputs)

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
        """`y[rows] += scale * x[rows] A^T B^T`, with one row a sequence instead of one a token."""
        groups = group_rows(self.sampler_indices)
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
    # Adapter and model may pad their outputs differently.
    width = min(y.shape[-1], b.shape[-2])
    for slot, rows in groups:
        weight = b[slot].view(b.shape[-2:])[:width]
        update = (x[rows].to(weight.dtype) @ weight.T).to(y.dtype)
        if add_inputs:
            y[rows, :width] += update
        else:
            y[rows, :width] = update
