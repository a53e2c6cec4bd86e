"""How long work keeps the event loop from everything else."""

import asyncio
import time
from itertools import pairwise

LONGEST_HOLD = 0.1
"""Seconds for which one request may keep all others waiting."""


async def longest_gap(work):
    """The longest time for which a task that always wants to run could not, while `work` is done.

    In seconds of this process, so that it does not depend on what else the machine does.
    """
    turns = [time.process_time()]

    async def tick():
        while True:
            await asyncio.sleep(0)
            turns.append(time.process_time())

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0)
    result = await work
    turns.append(time.process_time())
    ticking.cancel()
    return max(later - earlier for earlier, later in pairwise(turns)), result
