"""The latency that the service adds to its engine, at several numbers of concurrent streams.

The service runs unchanged, over HTTP on a loopback port and in its own process, with the engine of
`fixed_speed_engine.py`. The time of a request beyond the engine's own is what the service adds: HTTP, checks,
formatting of the prompt, events, counters.
"""

import asyncio
from typing import Any

from service.bench.fixed_speed_engine import own_seconds
from service.bench.load import MakeRequests, Progress, Times, percentiles, question_and_passages, run_closed_loop
from service.bench.paused_programs import Program

STREAMS = (1, 32, 256)
TOKENS = 32
"""Tokens written for each request."""
GOAL_MS = 3.0
"""Goal for the median latency added, at GOAL_STREAMS."""
GOAL_STREAMS = (1, 32)
TAIL_GOALS_MS = {256: 100.0}
"""Goals for the 99th percentile, by streams."""
_REQUESTS = {1: 20, 32: 4, 256: 2}
"""Successive requests of a stream, by the number of streams."""


def measure(program: Program, url: str, make: MakeRequests, progress: Progress = lambda _: None) -> dict[str, Any]:
    """Measure the added latency: the object `layer` of `fgctl bench serve --json`. Raises FgctlError."""
    first = 2
    with program.turn():  # warm up, so that no measured request pays for lazy imports
        asyncio.run(
            run_closed_loop(program.name, url, make(first, 0), question_and_passages, concurrency=1, tokens=TOKENS)
        )
    loads = []
    for streams in STREAMS:
        progress(f"{streams} streams from an engine of fixed speed")
        requests = make(streams * _REQUESTS[streams], first)
        first += len(requests)
        # Streams start evenly spread, like those of independent clients.
        stagger = own_seconds(TOKENS)[1] / streams
        with program.turn():
            before = program.cpu_seconds()
            times = asyncio.run(
                run_closed_loop(
                    program.name,
                    url,
                    requests,
                    question_and_passages,
                    concurrency=streams,
                    tokens=TOKENS,
                    stagger=stagger,
                )
            )
            loads.append(report(streams, times, program.cpu_seconds() - before))
    return {"tokens": TOKENS, "streams": loads}


def report(streams: int, times: Times, cpu_seconds: float) -> dict[str, Any]:
    """Percentiles of the latency added to the first token and to the whole response, in milliseconds.

    `cpu_seconds` are those of the service's process. Unlike latencies they hardly depend on what else the machine does.
    """
    first, whole = own_seconds(TOKENS)
    return {
        "streams": streams,
        "requests": len(times.latency),
        "added_to_first_token_ms": percentiles(seconds - first for seconds in times.first_token),
        "added_to_total_ms": percentiles(seconds - whole for seconds in times.latency),
        "cpu_ms_a_request": cpu_seconds * 1000 / len(times.latency),
        "goal_p50_ms": GOAL_MS if streams in GOAL_STREAMS else None,
        "goal_p99_ms": TAIL_GOALS_MS.get(streams),
    }
