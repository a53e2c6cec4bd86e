"""An event loop for tests that are about time: they take none, and what else the machine does cannot change them."""

import asyncio
import selectors


class JumpingClock(asyncio.SelectorEventLoop):
    """An event loop whose clock stands still while there is something to do, and then jumps to the next timer."""

    def __init__(self) -> None:
        selector = selectors.DefaultSelector()
        self._now, self._ready_now = 0.0, selector.select
        selector.select = self._select  # type: ignore[method-assign]
        super().__init__(selector)

    def time(self) -> float:
        return self._now

    def _select(self, timeout=None):
        if timeout is None:  # no timer: only the outside can go on
            return self._ready_now(None)
        events = self._ready_now(0)
        self._now += 0 if events else timeout
        return events


BACKEND = ("asyncio", {"loop_factory": JumpingClock})
"""What a module's fixture `anyio_backend` returns to run its tests by it."""
