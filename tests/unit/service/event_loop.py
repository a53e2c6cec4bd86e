"""How long work keeps the event loop from everything else."""

import asyncio
import json
import time
from itertools import pairwise

_DOCUMENT = "{" + ",".join(f'"n{i:07}":1' for i in range(80_000)) + "}"
"""A megabyte of JSON, as large as the largest bodies."""
_MOST = 6
"""How many times as long as reading a megabyte of JSON one request may keep all others waiting: a tenth of a second."""
_ATTEMPTS = 6
"""A busy machine and collected garbage hold the loop, too."""


async def checked_holds(call):
    """Make a request, again if it held the event loop for too long; its reply, after a check that it once did not.

    `call` gives a new awaitable each time. What is too long is measured on this machine beside each attempt.
    """
    held = []
    for _ in range(_ATTEMPTS):
        started = time.process_time()
        json.loads(_DOCUMENT)
        longest = _MOST * (time.process_time() - started)
        idle, _ = await _longest_gap(asyncio.sleep(0.1))
        gap, reply = await _longest_gap(call())
        held.append((gap - idle, longest))
        if gap - idle < longest:
            return reply
    raise AssertionError(f"held the loop for so long, in place of at most: {held}")


async def _longest_gap(work):
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
