"""Watches the store's `profiles.toml`, so that promotions and rollbacks take effect without a restart."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from policies.store import PROFILES
from rewards.errors import FgctlError

logger = logging.getLogger(__name__)


async def watch_store(root: Path, reload: Callable[[], Awaitable[object]]) -> None:
    """Call `reload` after every change of the store's profiles, until cancelled. Errors of `reload` are logged.

    Network drives do not report changes; WATCHFILES_FORCE_POLLING=1 polls for them.
    """
    from watchfiles import awatch

    stop = asyncio.Event()
    try:
        async for _ in awatch(
            root, watch_filter=lambda _, path: Path(path).name == PROFILES, recursive=False, stop_event=stop
        ):
            try:
                await reload()
            except FgctlError as error:
                logger.error("the policies were not reloaded: %s", error)
            except Exception:  # a failure here must not end the watch
                logger.exception("the policies could not be reloaded")
    finally:
        stop.set()
