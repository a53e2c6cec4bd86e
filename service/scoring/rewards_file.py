"""Goes over to other reward models when their file has changed, as the resolver does to other policies."""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from rewards.scorer import Scorer

logger = logging.getLogger(__name__)


class ReloadingWorker(Protocol):
    """What scores by the file: ScoringWorker, or a stand-in in tests."""

    async def take_over(self, version: str, then: Callable[[], object]) -> None:
        """Load the file again, which has this version; `then` is called when the first scores are by it."""


class RewardsFile:
    """The file of the reward models that a worker scores by."""

    def __init__(
        self, load: Callable[[], Scorer], version: str, worker: ReloadingWorker, announce: Callable[[Scorer], object]
    ) -> None:
        """`load` reads the file, `version` is the scorer's in use, and `announce` is told of another one."""
        self._load = load
        self._version = version
        self._worker = worker
        self._announce = announce
        self._reloading = asyncio.Lock()

    async def reload(self) -> None:
        """Score by the file's reward models from now on. Raises FgctlError when they cannot be; the others stay then.

        What is being scored ends with the reward models it began with.
        """
        async with self._reloading:
            scorer = await asyncio.to_thread(self._load)
            if scorer.version == self._version:
                return
            await self._worker.take_over(scorer.version, lambda: self._announce(scorer))
            logger.info("scoring by reward models %s instead of %s", scorer.version, self._version)
            self._version = scorer.version
