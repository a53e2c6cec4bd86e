"""The responses that wait to be scored: bounded, first come first served, and shed without favour.

When it is full, what goes is the response with the highest draw, whether it waits or has just come, as if the share
that is scored had been lowered. A draw depends on the response's id alone, so that under load every profile loses the
same share of its own, in whatever order responses come; dropping whatever comes last would drop whoever comes last.
"""

import asyncio
from typing import NamedTuple

from service.domain.finished import FinishedCompletion


class _Waiting(NamedTuple):
    draw: float
    finished: FinishedCompletion


class Backlog:
    """Responses in the order they finished."""

    def __init__(self, limit: int) -> None:
        """`limit` responses may wait."""
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
        """Add a response; what had to go for it, itself perhaps, or None."""
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
        """Wait for responses and take up to `most` of them; `done` must be called for them."""
        while not self._waiting:
            self._filled.clear()
            await self._filled.wait()
        numbers = list(self._waiting)[:most]
        self._taken += len(numbers)
        return [self._waiting.pop(number).finished for number in numbers]

    def done(self, count: int) -> None:
        """So many of those taken are scored or dropped."""
        self._taken -= count
        if not self._taken and not self._waiting:
            self._done.set()

    async def drained(self) -> None:
        """Wait until nothing waits and nothing taken is undone."""
        await self._done.wait()
