"""The latency that the service adds to its engine, at several numbers of concurrent streams.

The service runs as it is, over HTTP on a loopback port, in a process of its own, with service.bench.fixed_speed_engine's engine.
What a request takes beyond the engine's own time is the layer's: HTTP, checks, the prompt's formatting, events, counts.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from service.bench.fixed_speed_engine import own_seconds
from service.bench.load import Asked, Times, drive, percentiles, question_and_passages
from service.bench.paused_programs import Program

STREAMS = (1, 32, 256)
TOKENS = 32
"""Written to each request."""
GOAL_MS = 3.0
"""The most that the layer should add, in the median request, at GOAL_STREAMS."""
GOAL_STREAMS = (1, 32)
_REQUESTS = {1: 20, 32: 4, 256: 2}
"""Requests that follow each other in a stream."""


def measure(
    program: Program,
    url: str,
    profiles: Sequence[str],
    make: Callable[[int, int], list[Asked]],
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Milliseconds added: the shape of `layer` in `fgctl bench serve --json`. Raises FgctlError.

    `make` gives as many questions as its first argument says, from the one on that the second says.
    """
    found = {}
    first = 2
    with program.turn():  # what is imported at the first request is no part of any
        asyncio.run(drive(program.name, url, make(first, 0), question_and_passages, concurrency=1, tokens=TOKENS))
    for streams in STREAMS:
        say(f"{streams} streams from an engine of fixed speed")
        count = streams * _REQUESTS[streams]
        asked = make(count, first)
        first += count
        # Streams that begin evenly spread, as clients do that know nothing of each other.
        stagger = own_seconds(TOKENS)[1] / streams
        with program.turn():
            work = drive(
                program.name, url, asked, question_and_passages, concurrency=streams, tokens=TOKENS, stagger=stagger
            )
            found[streams] = asyncio.run(work)
    return {"tokens": TOKENS, "streams": [report(streams, times) for streams, times in found.items()]}


def report(streams: int, times: Times) -> dict[str, Any]:
    """Percentiles of what was added, in milliseconds, to the first token and to the whole."""
    first, whole = own_seconds(TOKENS)
    return {
        "streams": streams,
        "requests": len(times.latency),
        "added_to_first_token_ms": percentiles(seconds - first for seconds in times.first_token),
        "added_to_total_ms": percentiles(seconds - whole for seconds in times.latency),
        "goal_p50_ms": GOAL_MS if streams in GOAL_STREAMS else None,
    }
