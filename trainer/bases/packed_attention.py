"""Attention masks for packed rows, for every kind of attention that transformers knows.

A model's code asks transformers for the mask of each kind of its layers: all that precedes a token, a sliding window, a
chunk. transformers cuts these by places in the row, which are not positions where several responses share a prompt.
Inside `packed_row` they are cut by position and limited to what a token may attend to. Attention that adds its mask
gets one of floats, as always.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from torch import Tensor
from transformers import AttentionMaskInterface
from transformers.masking_utils import and_masks, causal_mask_function, eager_mask, sdpa_mask

_Create = Callable[..., Tensor | None]

_VISIBLE: ContextVar[Tensor | None] = ContextVar("visible", default=None)


@contextmanager
def packed_row(visible: Tensor | None) -> Iterator[None]:
    """Passes inside the block are over one packed row; `visible`, bool [1, T, T], is its mask (trainer.packing).

    None is for a row of one sequence, which transformers masks itself, in half the time. Give the model an
    `attention_mask` of ones, so that it does not look for packed sequences itself.
    """
    token = _VISIBLE.set(visible)
    try:
        yield
    finally:
        _VISIBLE.reset(token)


def _with_packed_rows(create: _Create) -> _Create:
    """The function that creates the masks of an attention implementation, extended by those of packed rows."""

    def mask(*, mask_function: Any = causal_mask_function, **how: Any) -> Tensor | None:
        visible = _VISIBLE.get()
        if visible is None:
            return create(mask_function=mask_function, **how)
        positions = visible.sum(-1) - 1  # a token sees all that precedes it, and itself

        def by_position(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
            cut: Tensor = mask_function(batch, head, positions[batch, query], positions[batch, key])
            return cut

        def is_visible(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
            return visible[batch, query, key]

        whole = {"attention_mask": None, "allow_is_causal_skip": False, "allow_is_bidirectional_skip": False}
        return create(mask_function=and_masks(by_position, is_visible), **how | whole)

    return mask


AttentionMaskInterface.register("sdpa", _with_packed_rows(sdpa_mask))
AttentionMaskInterface.register("eager", _with_packed_rows(eager_mask))
