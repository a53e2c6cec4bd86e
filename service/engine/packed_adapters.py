"""LoRA on a CPU in two matmuls a layer: packed weights, and how the rows of a step are multiplied.

- A layer's adapters are packed once: the slices of a merged layer (query, key, value) side by side, without ranks and
  slots that are zero. A layer that no adapter changes costs nothing.
- Once per step and layer it is decided how to multiply the rows: all rows by the one adapter they use; all rows by all
  adapters at once, with the products of other rows' adapters set to zero; or one adapter after another.
- Base requests are left alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

BASE = -1
"""Slot of a base request."""
_SMALL = 512
"""Products (rows x ranks) up to which float32 is faster: a bfloat16 matmul takes over 10 us to set up.

Sums are rounded where bfloat16 rounds them, so that a request gets the same answer in any batch.
"""
_TURN = 8192
"""Products (rows x ranks) that take as long as the fixed cost of another adapter's turn."""
_RUN = 128
"""Average number of adjacent rows of one adapter from which on gathering them does not pay."""

Rows = slice | Tensor
"""Rows of a batch, one for each token: a slice, or an int64 index."""


@dataclass(frozen=True, eq=False)
class Packed:
    """The adapters of one layer: the ranks of all slots and slices stacked, without those that have no effect."""

    a: Tensor
    """[ranks, in]"""
    b: Tensor
    """[ranks, out]; zero outside the columns of a rank's slice."""
    spans: dict[int, tuple[int, int]]
    """First rank and end of each slot that has an effect, in the order of the slots."""

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
        """A and B in float32, for small products."""
        return self.a.float(), self.b.float()


@dataclass(frozen=True)
class Turn:
    """Rows of a batch and the ranks that multiply them: `y[rows] += (x[rows] A^T * mask) B`."""

    rows: Rows | None
    """None for all rows."""
    a_t: Tensor
    """[in, ranks]"""
    b: Tensor
    """[ranks, out]"""
    mask: Tensor | None
    """[N, ranks]: 1 where a row uses the adapter of a rank, 0 elsewhere."""

    dtype: torch.dtype
    """The adapter's type: products with A are rounded to it, also when they are computed in float32."""

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
    """The adapter of each token in a step, and how each layer multiplies the tokens."""

    def __init__(self, slots: Sequence[int]) -> None:
        """`slots` holds the slot of each token, BASE for base requests."""
        self.length = len(slots)
        self._slots = torch.tensor(slots, dtype=torch.int64)
        self._runs: dict[int, list[slice]] = {}
        at = 0
        for slot, run in groupby(slots):
            begin, at = at, at + sum(1 for _ in run)
            if slot != BASE:
                self._runs.setdefault(slot, []).append(slice(begin, at))
        self.present = tuple(sorted(self._runs))
        """Slots of the adapters that this step uses."""
        self._uniform = len(self.present) == 1 and self._runs[self.present[0]] == [slice(0, self.length)]
        self._turns: dict[Packed, tuple[Turn, ...]] = {}
        self._masks: dict[Any, Tensor] = {}

    def turns(self, packed: Packed) -> tuple[Turn, ...]:
        """The turns of a layer in this step; none if no adapter of the step changes the layer."""
        turns = self._turns.get(packed)
        if turns is None:
            turns = self._turns[packed] = tuple(self._plan(packed))
        return turns

    def groups(self) -> list[tuple[int, Rows]]:
        """The rows of each adapter: slices where they are adjacent, else an index."""
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
        # Layers of one kind have their ranks at the same positions, so they share a mask.
        spans = tuple((slot, *span) for slot, span in packed.spans.items() if begin <= span[0] < end)
        mask = self._masks.get(spans)
        if mask is None:
            slot_of_rank = torch.tensor([slot for slot, first, stop in spans for _ in range(first, stop)])
            mask = self._masks[spans] = (self._slots[:, None] == slot_of_rank).to(packed.a.dtype)
        return mask

    def _rows(self, slot: int) -> list[Rows]:
        runs = self._runs[slot]
        if sum(map(_count, runs)) >= _RUN * len(runs) or len(runs) == 1:
            return list(runs)
        return [torch.nonzero(self._slots == slot)[:, 0]]


def _count(rows: Rows) -> int:
    return rows.stop - rows.start if isinstance(rows, slice) else len(rows)
