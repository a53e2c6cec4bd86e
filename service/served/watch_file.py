"""Watches a store or file, so that promotions, rollbacks and other reward models take effect without a restart."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from rewards.errors import FgctlError

logger = logging.getLogger(__name__)
EVERY = 1.0
"""Seconds between two looks."""


async def watch(signature: Callable[[], object], reload: Callable[[], Awaitable[object]], contents: str) -> None:
    """Call `reload` after every change of the signature, until cancelled. Errors of `reload` are logged.

    The signature is None while there is nothing to load, as in the middle of a replacement. `contents` says what is
    loaded, for the log: `the policies`. It looks again and again, instead of being told by the kernel, because that
    also notices changes on network drives and in buckets, and a directory that is replaced by another.
    """
    seen = await asyncio.to_thread(signature)
    while True:
        await asyncio.sleep(EVERY)
        now = await asyncio.to_thread(signature)
        if now is None or now == seen:
            continue
        seen = now
        try:
            await reload()
        except FgctlError as error:
            logger.error("%s were not reloaded: %s", contents, error)
        except Exception:  # a failure here must not end the watch
            logger.exception("%s could not be reloaded", contents)


def file_signature(file: Path) -> tuple[int, int, int, int] | None:
    """What changes with the file's content or place; None while there is no file."""
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino, stat.st_mtime_ns, stat.st_size
