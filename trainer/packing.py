"""Packing prompts and their responses into one row without padding.

Several responses to one prompt share that prompt's tokens: each response token attends to its own prompt and to earlier
tokens of its own response, at the positions it would have alone. The result is exact, and a prompt is computed once
instead of once for each response.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor


@dataclass(frozen=True)
class Group:
    """A prompt with one or more responses to it, as token ids."""

    prompt: Sequence[int]
    responses: Sequence[Sequence[int]]

    @property
    def tokens(self) -> int:
        """Tokens the group takes in a packed row."""
        return len(self.prompt) + sum(map(len, self.responses))


@dataclass(frozen=True)
class Packed:
    """One row of T tokens holding N response tokens, in the order of the groups and their responses."""

    input_ids: Tensor
    """int64 [1, T]"""
    position_ids: Tensor
    """int64 [1, T]: position within the token's own prompt and response."""
    mask: Tensor | None
    """bool [1, T, T]: True where the row's token may attend to the column's; None for all that precedes it."""
    predicted_at: Tensor
    """int64 [N]: the index whose logits predict each response token."""
    targets: Tensor
    """int64 [N]: the response tokens."""


def pack(groups: Sequence[Group]) -> Packed:
    """Pack groups into one row. Every prompt needs at least one token."""
    ids: list[int] = []
    positions: list[int] = []
    predicted_at: list[int] = []
    targets: list[int] = []
    size = sum(group.tokens for group in groups)
    mask = torch.zeros(size, size, dtype=torch.bool)
    for group in groups:
        start, length = len(ids), len(group.prompt)
        ids += group.prompt
        positions += range(length)
        mask[start : start + length, start : start + length] = _causal(length)
        for response in group.responses:
            first, n = len(ids), len(response)
            ids += response
            positions += range(length, length + n)
            mask[first : first + n, start : start + length] = True
            mask[first : first + n, first : first + n] = _causal(n)
            if n:
                predicted_at += [start + length - 1, *range(first, first + n - 1)]
                targets += response
    alone = len(groups) == 1 and len(groups[0].responses) == 1
    return Packed(
        input_ids=torch.tensor([ids]),
        position_ids=torch.tensor([positions]),
        mask=None if alone else mask[None],
        predicted_at=torch.tensor(predicted_at, dtype=torch.int64),
        targets=torch.tensor(targets, dtype=torch.int64),
    )


def _causal(n: int) -> Tensor:
    return torch.ones(n, n, dtype=torch.bool).tril()


def bins(groups: Sequence[Group], max_tokens: int) -> list[list[int]]:
    """Put groups into rows of at most `max_tokens` tokens, first-fit, the largest first.

    Returns indices into `groups`; a group over the limit gets a row of its own.
    """
    rows: list[list[int]] = []
    free: list[int] = []
    for i in sorted(range(len(groups)), key=lambda i: -groups[i].tokens):
        row = next((r for r, room in enumerate(free) if room >= groups[i].tokens), None)
        if row is None:
            rows.append([i])
            free.append(max_tokens - groups[i].tokens)
        else:
            rows[row].append(i)
            free[row] -= groups[i].tokens
    return rows


def split(items: Sequence[int], parts: int) -> list[list[int]]:
    """Split items into at most `parts` consecutive parts whose sizes differ by at most one; none is empty."""
    parts = min(parts, len(items))
    bounds = [round(i * len(items) / parts) for i in range(parts + 1)]
    return [list(items[a:b]) for a, b in pairwise(bounds)]
