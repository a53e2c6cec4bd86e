"""The completions that wait to be scored: bounded, first come first served.

When it is full, the completion with the highest draw is dropped, whether it waits or is the new one, as if the share
that is scored had been lowered. A draw depends on the completion's id alone. So under load every profile loses the same
share of its completions, in whatever order they come.
"""

import asyncio
from typing import NamedTuple

from service.domain.finished import FinishedCompletion


class _Waiting(NamedTuple):
    draw: float
    finished: FinishedCompletion


class Backlog:
    """Completions in the order in which they finished."""

    def __init__(self, limit: int) -> None:
        """`limit` completions may wait."""
        self.limit = limit
        self._waiting: dict[int, _Waiting] = {}
        self._last = 0
        self._taken = 0
        self._filled = asyncio.Event()
        self._done = asyncio.Event()
        self._done.set()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, finished: FinishedCompletion, draw: float) -> FinishedCompletion | None:
        """Add a completion. Returns the one that was dropped for lack of room, perhaps this one; None if none was."""
        shed = None
        if len(self._waiting) >= self.limit:
            worst = max(self._waiting, key=lambda number: self._waiting[number].draw)
            if self._waiting[worst].draw <= draw:
                return finished
            shed = self._waiting.pop(worst).finished
        self._last += 1
        self._waiting[self._last] = _Waiting(draw, finished)
        self._filled.set()
        self._done.clear()
        return shed

    async def take(self, most: int) -> list[FinishedCompletion]:
        """Wait for completions and take up to `most` of them. Call `done` when they are scored or dropped."""
        while not self._waiting:
            self._filled.clear()
            await self._filled.wait()
        numbers = list(self._waiting)[:most]
        self._taken += len(numbers)
        return [self._waiting.pop(number).finished for number in numbers]

    def done(self, count: int) -> None:
        """Report that so many of the completions taken are scored or dropped."""
        self._taken -= count
        if not self._taken and not self._waiting:
            self._done.set()

    async def drained(self) -> None:
        """Wait until no completion waits and all that were taken are done."""
        await self._done.wait()
