"""Whether an engine elsewhere answers. Nobody restarts it from here, and a restart of this service would not help."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

logger = logging.getLogger(__name__)

EVERY = 1.0
"""Seconds between two questions to the engine."""
_MISSES = 2
"""Questions in a row without an answer after which the engine counts as away."""


class Watched(Protocol):
    """What is watched of an engine."""

    alive: bool
    """Whether it answers, as the watch says."""

    async def answers(self) -> bool:
        """Whether it answers now."""


class EngineWatch:
    """Keeps `up`; like a Supervisor for those who ask whether the engine works."""

    hopeless = False
    """Never: whoever replaces this process replaces no engine."""

    def __init__(self, engine: Watched, back: Callable[[], Awaitable[object]]) -> None:
        """`back` is awaited when the engine answers again, to take over what was promoted meanwhile."""
        self._engine = engine
        self._back = back
        self._misses = 0
        self.up = True
        """Whether the engine answers."""

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            await asyncio.sleep(EVERY)
            await self.look()

    async def look(self) -> None:
        """Ask the engine once."""
        if not await self._engine.answers():
            self._misses += 1
            if self._misses == _MISSES:
                logger.error("the engine does not answer")
                self.up = self._engine.alive = False
            return
        self._misses = 0
        if self.up:
            return
        logger.warning("the engine answers again")
        self._engine.alive = True
        try:
            await self._back()
        except Exception:  # whatever it is, the policies that were served are served on
            logger.exception("the policies were not reloaded")
        self.up = True
