"""Watches the store's `profiles.toml`, so that promotions and rollbacks take effect without a restart."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from policies.store import PROFILES
from rewards.errors import FgctlError

logger = logging.getLogger(__name__)
EVERY = 1.0
"""Seconds between two looks at the file."""


async def watch_store(root: Path, reload: Callable[[], Awaitable[object]]) -> None:
    """Call `reload` after every change of the store's profiles, until cancelled. Errors of `reload` are logged.

    It looks at the file again and again, instead of being told by the kernel, because that also notices changes on
    network drives, and a store whose whole directory is replaced by another.
    """
    file = root / PROFILES
    seen = await asyncio.to_thread(_signature, file)
    while True:
        await asyncio.sleep(EVERY)
        signature = await asyncio.to_thread(_signature, file)
        if signature is None or signature == seen:
            continue
        seen = signature
        try:
            await reload()
        except FgctlError as error:
            logger.error("the policies were not reloaded: %s", error)
        except Exception:  # a failure here must not end the watch
            logger.exception("the policies could not be reloaded")


def _signature(file: Path) -> tuple[int, int, int, int] | None:
    """What changes with the file's content or place; None while there is no file, as in the middle of a replacement."""
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino, stat.st_mtime_ns, stat.st_size
