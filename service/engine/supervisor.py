"""Replaces an engine that has died or hangs, with growing pauses.

An engine that hangs is killed, and then replaced like any other that has died.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

logger = logging.getLogger(__name__)

CHECK_SECONDS = 0.5
"""Seconds between checks of the engine."""
ANSWER_SECONDS = 5.0
"""Seconds between two questions to the engine whether it still answers."""
MAX_PAUSE_SECONDS = 60.0
STEADY_SECONDS = 120.0
"""Seconds after which a restarted engine counts as recovered."""
HOPELESS = 5
"""Deaths and failed starts in a row after which this process should itself be replaced."""


class Restartable(Protocol):
    """What a supervisor needs of an engine."""

    @property
    def alive(self) -> bool:
        """Whether the engine's processes exist."""

    async def answer(self) -> None:
        """Wait until every process of the engine has answered, or raise when it has died."""

    def kill(self) -> None:
        """Kill the engine's processes; soon afterwards it is not alive any more."""

    def restart(self) -> None:
        """Replace the engine's processes; returns once the new ones have started."""


class Supervisor:
    """Restarts an engine that has died or hangs."""

    def __init__(
        self,
        engine: Restartable,
        restarted: Callable[[], Awaitable[None]],
        on_restart: Callable[[], None] = lambda: None,
        patience: float = 60.0,
    ) -> None:
        """`restarted` is awaited after each start, to load the adapters again; `on_restart` is called before each.

        An engine that does not answer for `patience` seconds hangs.
        """
        self._engine = engine
        self._restarted = restarted
        self._on_restart = on_restart
        self._patience = patience
        self._failures = 0
        self._since = time.monotonic()
        self.up = True
        """False from a death or hang until the new engine has loaded the adapters of the old one."""

    @property
    def hopeless(self) -> bool:
        """Whether restarts have failed too often to expect one to help."""
        return self._failures >= HOPELESS

    async def run(self) -> None:
        """Supervise until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._replace_dead())
            tasks.create_task(self._kill_hung())

    async def _replace_dead(self) -> None:
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            if not self._engine.alive:
                self.up = False
                await self._restart()
            elif self._failures and time.monotonic() - self._since > STEADY_SECONDS:
                self._failures = 0

    async def _kill_hung(self) -> None:
        while True:
            await asyncio.sleep(ANSWER_SECONDS)
            if await self._hangs():
                logger.error("the engine has not answered for %g s; killing it", self._patience)
                self.up = False
                self._engine.kill()

    async def _hangs(self) -> bool:
        """Whether a living engine leaves a question unanswered until patience ends.

        It counts checks instead of reading a clock, so that time in which this process was itself stopped, or its
        machine slept, does not count.
        """
        answer = asyncio.ensure_future(self._engine.answer())
        try:
            for _ in range(max(1, round(self._patience / CHECK_SECONDS))):
                await asyncio.wait((answer,), timeout=CHECK_SECONDS)
                if answer.done() or not self._engine.alive:
                    return False
            return True
        finally:
            answer.cancel()
            answer.add_done_callback(lambda task: task.cancelled() or task.exception())  # retrieved

    async def _restart(self) -> None:
        while True:
            pause = 0.0 if self._failures == 0 else min(2.0 ** (self._failures - 1), MAX_PAUSE_SECONDS)
            self._failures += 1
            logger.error("the engine has died; restarting it in %.0f s", pause)
            await asyncio.sleep(pause)
            try:
                self._on_restart()
                await asyncio.to_thread(self._engine.restart)
                await self._restarted()
            except Exception:  # an engine may fail to start for many reasons, and the next attempt may succeed
                logger.exception("the engine did not start")
                continue
            self.up, self._since = True, time.monotonic()
            logger.warning("the engine is running again")
            return
