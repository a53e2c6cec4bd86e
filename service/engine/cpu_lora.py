"""LoRA on a CPU in two matmuls a layer; a vLLM plugin, loaded in every engine process.

vLLM's own CPU path gathers a copy of the adapter's weights for every token, and looks up the slot -1 of a base
request as the last slot, so that a base request in a mixed batch is answered by some adapter. Here

- a layer's adapters are packed once: the slices of a merged layer (query, key, value) side by side, without the ranks
  and slots that are zero, so that layers which no adapter changes cost nothing,
- how a batch's rows are taken is decided once a step and layer: all rows by the one adapter that they belong to; all
  rows by all adapters at once, with the products of foreign adapters set to zero; or one adapter after another,
- base requests are left alone,
- all of it is one operator to torch's compiler, so that models with adapters can be compiled too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

import torch
from torch import Tensor
from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU

BASE = -1
"""Slot of a base request."""
_SMALL = 512
"""Products (rows x ranks) up to which float32 is faster: a bfloat16 matmul takes over 10 us to set up.

The sums are rounded where those of bfloat16 are, so that a request gets the same answer in any company.
"""
_TURN = 8192
"""Products (rows x ranks) that take as long as the fixed cost of one more adapter's turn."""
_RUN = 128
"""Rows of one adapter that lie together, on average, from which on they are not worth gathering."""

Rows = slice | Tensor
"""Positions of tokens: a slice, or an int64 index."""


def register() -> None:
    """Make vLLM's CPU platform use this wrapper; other platforms keep their kernels."""
    from vllm.platforms import current_platform

    if current_platform.is_cpu():
        name = f"{__name__}.{PackedPunicaWrapper.__name__}"
        type(current_platform).get_punica_wrapper = classmethod(lambda cls: name)  # type: ignore[assignment]
        allow_compiling(type(current_platform))


def allow_compiling(platform: Any) -> None:
    """Let vLLM's CPU platform compile models with adapters as it does those without, unless asked not to.

    It does not because its own kernels cannot be traced; these are one operator to the compiler.
    """
    original = platform.check_and_update_config.__func__
    if original.__module__ == __name__:
        return  # a process may load its plugins again

    def check_and_update_config(cls: Any, vllm_config: Any) -> None:
        adapters, vllm_config.lora_config = vllm_config.lora_config, None
        try:
            original(cls, vllm_config)
        finally:
            vllm_config.lora_config = adapters

    platform.check_and_update_config = classmethod(check_and_update_config)


@dataclass(frozen=True, eq=False)
class Packed:
    """The adapters of one layer, all slots and slices one below another, only the ranks that have an effect."""

    a: Tensor
    """[ranks, in]"""
    b: Tensor
    """[ranks, out]; zero outside the columns of a rank's slice."""
    spans: dict[int, tuple[int, int]]
    """First rank and the one after the last of each slot that has an effect, in the order of the slots."""

    @classmethod
    def of(cls, a_stacked: Sequence[Tensor], b_stacked: Sequence[Tensor]) -> "Packed":
        """Pack vLLM's weights: for each slice A [slots, 1, rank, in] and B [slots, 1, size, rank]."""
        width = sum(b.shape[-2] for b in b_stacked)
        rows, columns, spans = [], [], {}
        end = 0
        for slot in range(len(a_stacked[0])):
            begin, offset = end, 0
            for a_slots, b_slots in zip(a_stacked, b_stacked, strict=True):
                a, b = a_slots[slot, 0], b_slots[slot, 0].T
                effective = a.any(1) & b.any(1)
                a, b = a[effective], b[effective]
                rows.append(a)
                columns.append(torch.nn.functional.pad(b, (offset, width - offset - b.shape[1])))
                offset += b.shape[1]
                end += len(a)
            if end > begin:
                spans[slot] = (begin, end)
        return cls(torch.cat(rows), torch.cat(columns), spans)

    @cached_property
    def small(self) -> tuple[Tensor, Tensor]:
        """A and B in float32, for few rows."""
        return self.a.float(), self.b.float()


@dataclass(frozen=True)
class Turn:
    """Some rows of a batch, and the ranks that they are multiplied by: `y[rows] += (x[rows] A^T * mask) B`."""

    rows: Rows | None
    """None for all."""
    a_t: Tensor
    """[in, ranks]"""
    b: Tensor
    """[ranks, out]"""
    mask: Tensor | None
    """[N, ranks]: 1 where a row has the adapter of a rank, 0 elsewhere."""

    dtype: torch.dtype
    """Of the adapter: what lies between A and B is rounded to it, however few rows there are."""

    def add(self, y: Tensor, x: Tensor) -> None:
        """Add to y [N, out] for x [N, in]."""
        part = x if self.rows is None else x[self.rows]
        shrunk = part.to(self.a_t.dtype) @ self.a_t
        if self.mask is not None:
            shrunk *= self.mask
        target = y if self.rows is None else y[self.rows]
        if y.dtype == self.b.dtype:
            target.addmm_(shrunk, self.b)
        else:
            target.copy_(torch.addmm(target.float(), shrunk.to(self.dtype).float(), self.b.float()))
        if isinstance(self.rows, Tensor):
            y[self.rows] = target


class Step:
    """Which adapter each token of a step has, and how each layer takes the tokens."""

    def __init__(self, slots: Sequence[int]) -> None:
        """`slots` has the slot of each token, BASE for base requests."""
        self.length = len(slots)
        self._slots = torch.tensor(slots, dtype=torch.int64)
        self._runs: dict[int, list[slice]] = {}
        at = 0
        for slot, run in groupby(slots):
            begin, at = at, at + sum(1 for _ in run)
            if slot != BASE:
                self._runs.setdefault(slot, []).append(slice(begin, at))
        self.present = tuple(sorted(self._runs))
        """The slots of adapters in this step."""
        self._uniform = len(self.present) == 1 and self._runs[self.present[0]] == [slice(0, self.length)]
        self._turns: dict[Packed, tuple[Turn, ...]] = {}
        self._masks: dict[Any, Tensor] = {}

    def turns(self, packed: Packed) -> tuple[Turn, ...]:
        """What a layer has to do in this step; nothing where no adapter of the step changes it."""
        found = self._turns.get(packed)
        if found is None:
            found = self._turns[packed] = tuple(self._plan(packed))
        return found

    def groups(self) -> list[tuple[int, Rows]]:
        """The rows of each adapter: slices where they lie together, else an index."""
        return [(slot, rows) for slot in self.present for rows in self._rows(slot)]

    def _plan(self, packed: Packed) -> Iterator[Turn]:
        present = [slot for slot in self.present if slot in packed.spans]
        if not present:
            return
        begin, end = packed.spans[present[0]][0], packed.spans[present[-1]][1]
        if self._uniform:
            yield self._turn(packed, None, begin, end)
            return
        groups = [(slot, rows) for slot in present for rows in self._rows(slot)]
        together = self.length * (end - begin)
        apart = sum(_count(rows) * (packed.spans[slot][1] - packed.spans[slot][0]) for slot, rows in groups)
        if together <= apart + _TURN * len(groups):
            yield self._turn(packed, None, begin, end, self._mask(packed, begin, end))
            return
        for slot, rows in groups:
            yield self._turn(packed, rows, *packed.spans[slot])

    def _turn(self, packed: Packed, rows: Rows | None, begin: int, end: int, mask: Tensor | None = None) -> Turn:
        count = self.length if rows is None else _count(rows)
        a, b = packed.small if count * (end - begin) <= _SMALL else (packed.a, packed.b)
        return Turn(rows, a[begin:end].T, b[begin:end], None if mask is None else mask.to(a.dtype), packed.a.dtype)

    def _mask(self, packed: Packed, begin: int, end: int) -> Tensor:
        # Layers of one kind have their ranks in the same places, so that they share a mask.
        spans = tuple((slot, *span) for slot, span in packed.spans.items() if begin <= span[0] < end)
        mask = self._masks.get(spans)
        if mask is None:
            of_rank = torch.tensor([slot for slot, first, after in spans for _ in range(first, after)])
            mask = self._masks[spans] = (self._slots[:, None] == of_rank).to(packed.a.dtype)
        return mask

    def _rows(self, slot: int) -> list[Rows]:
        runs = self._runs[slot]
        if sum(map(_count, runs)) >= _RUN * len(runs) or len(runs) == 1:
            return list(runs)
        return [torch.nonzero(self._slots == slot)[:, 0]]


class PackedPunicaWrapper(PunicaWrapperCPU):
    """PunicaWrapperCPU with its products taken from packed adapters."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._step = Step(())
        self._number = len(_wrappers)
        _wrappers.append(self)
        self._packed: dict[int, tuple[Tensor, int, Packed]] = {}

    def update_metadata(self, *args: Any, **kwargs: Any) -> None:
        """Take over a step's mapping of tokens to slots; vLLM calls it when the mapping has changed."""
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
        """What add_lora_linear does, outside of what torch traces."""
        step = self._step
        if not step.present:
            return
        packed = self._packed_of(lora_a_stacked, lora_b_stacked)
        # There may be rows after the step's own, which pad the batch.
        y, x = y.view(-1, y.shape[-1])[: step.length], x.view(-1, x.shape[-1])[: step.length]
        for turn in step.turns(packed):
            turn.add(y, x if scale == 1 else scale * x)

    def _packed_of(self, a_stacked: Sequence[Tensor], b_stacked: Sequence[Tensor]) -> Packed:
        """The packed adapters of the layer with these weights, packed anew when a slot has changed.

        vLLM clears a slot in all slices before it writes to it, so that the first slice's version tells of every
        change.
        """
        first = a_stacked[0]
        known = self._packed.get(first.data_ptr())
        if known is None or known[1] != first._version:
            # The weights are kept, so that no other layer's can come to lie at their address.
            known = self._packed[first.data_ptr()] = (first, first._version, Packed.of(a_stacked, b_stacked))
        return known[2]

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
        """`y[rows] += x[rows] B^T`, for embeddings, whose A is a lookup that has already happened."""
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
        """`y[rows] += scale * x[rows] A^T B^T`, with one row a sequence instead of one a token."""
        groups = Step(self.sampler_indices.tolist()).groups()
        x, y = x.view(-1, x.shape[-1]), y.view(-1, y.shape[-1])
        if buffer is None:
            buffer = torch.zeros((len(x), lora_b_stacked.size(-1)), dtype=torch.float32, device=x.device)
        _shrink(groups, buffer, x, lora_a_stacked, scale)
        _expand(groups, y, buffer, lora_b_stacked, add_inputs=True)


def _count(rows: Rows) -> int:
    return rows.stop - rows.start if isinstance(rows, slice) else len(rows)


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


_wrappers: list[PackedPunicaWrapper] = []
"""Those of this process, for the operator, which takes a number."""

_library = torch.library.Library("fgctl", "DEF")
_library.define("add_lora(Tensor(a!) y, Tensor x, Tensor[] a, Tensor[] b, float scale, int wrapper) -> ()")


def _add_lora(y: Tensor, x: Tensor, a: Sequence[Tensor], b: Sequence[Tensor], scale: float, wrapper: int) -> None:
    _wrappers[wrapper].add_packed(y, x, a, b, scale)


_library.impl("add_lora", _add_lora, "CPU")
torch.library.register_fake("fgctl::add_lora", lambda *_: None, lib=_library)
