"""Noticing promotions: the store's `profiles.toml` is watched, and the catalogue reloaded when it changes."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from policies.store import PROFILES
from rewards.errors import FgctlError

logger = logging.getLogger(__name__)


async def watch_store(root: Path, reload: Callable[[], Awaitable[object]]) -> None:
    """Call `reload` after every change of the store's profiles, until cancelled; what it raises is logged.

    Where the file system tells nobody of changes, as network drives do, WATCHFILES_FORCE_POLLING=1 looks for them.
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
