"""Restarts the engine when its process has died, with growing pauses."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

logger = logging.getLogger(__name__)

CHECK_SECONDS = 0.5
"""Seconds between checks of the engine."""
MAX_PAUSE_SECONDS = 60.0
STEADY_SECONDS = 120.0
"""Seconds after which a restarted engine counts as recovered."""
HOPELESS = 5
"""Deaths and failed starts in a row after which this process should itself be replaced."""


class Restartable(Protocol):
    """What a supervisor needs of an engine."""

    @property
    def alive(self) -> bool:
        """Whether the engine process works."""

    def restart(self) -> None:
        """Replace the engine process; returns once the new one has started."""


class Supervisor:
    """Restarts an engine that has died."""

    def __init__(
        self,
        engine: Restartable,
        restarted: Callable[[], Awaitable[None]],
        on_restart: Callable[[], None] = lambda: None,
    ) -> None:
        """`restarted` is awaited after each start, to load the adapters again; `on_restart` is called before each."""
        self._engine = engine
        self._restarted = restarted
        self._on_restart = on_restart
        self._failures = 0
        self._since = time.monotonic()
        self.up = True
        """False from a death until the new engine has loaded the adapters of the old one."""

    @property
    def hopeless(self) -> bool:
        """Whether restarts have failed too often to expect one to help."""
        return self._failures >= HOPELESS

    async def run(self) -> None:
        """Supervise until cancelled."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            if not self._engine.alive:
                self.up = False
                await self._restart()
            elif self._failures and time.monotonic() - self._since > STEADY_SECONDS:
                self._failures = 0

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
