"""Keeping the engine alive: when its process has died, a new one is started, with pauses that grow."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
"""How often the engine is looked at."""
MAX_PAUSE_SECONDS = 60.0
STEADY_SECONDS = 120.0
"""An engine that has worked for so long counts as recovered."""
HOPELESS = 5
"""Deaths and failed starts in a row, after which the process itself should be replaced."""


class Restartable(Protocol):
    """What is supervised: the engine."""

    @property
    def alive(self) -> bool:
        """Whether it works."""

    def restart(self) -> None:
        """Replace it; blocks until the new one has started."""


class Supervisor:
    """Restarts an engine that has died."""

    def __init__(
        self,
        engine: Restartable,
        restarted: Callable[[], Awaitable[None]],
        on_restart: Callable[[], None] = lambda: None,
    ) -> None:
        """`restarted` is awaited after each start, to load what the engine held; `on_restart` counts."""
        self._engine = engine
        self._restarted = restarted
        self._on_restart = on_restart
        self._failures = 0
        self._since = time.monotonic()
        self.up = True
        """False from a death until the new engine has loaded what the old one held."""

    @property
    def hopeless(self) -> bool:
        """Whether restarting has failed so often that it will not help any more."""
        return self._failures >= HOPELESS

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if not self._engine.alive:
                self.up = False
                await self._restart()
            elif self._failures and time.monotonic() - self._since > STEADY_SECONDS:
                self._failures = 0

    async def _restart(self) -> None:
        while True:
            pause = 0.0 if self._failures == 0 else min(2.0 ** (self._failures - 1), MAX_PAUSE_SECONDS)
            self._failures += 1
            logger.error("the engine has stopped; starting it again in %.0f s", pause)
            await asyncio.sleep(pause)
            try:
                self._on_restart()
                await asyncio.to_thread(self._engine.restart)
                await self._restarted()
            except Exception:  # engines fail to start in many ways, and the next try may succeed
                logger.exception("the engine could not be started")
                continue
            self.up, self._since = True, time.monotonic()
            logger.warning("the engine works again")
            return
