"""This service beside vLLM's own server: the same base, adapters, engine settings, requests and client.

All servers are started first. In a round they take turns at each concurrency, and each is paused while another works.
In a round all get the same requests; no two rounds share any. The service is measured with several shares of scored
answers. Its times end with the last answer; its turn ends when scoring has caught up, and that lag is reported too.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from policies.base import BaseModel, load_tokenizer
from policies.prompt import PromptFormatter
from rewards.dataset import Example
from rewards.errors import FgctlError
from rewards.statistics.benchmarks import median_and_range, ratio_of_medians
from service.bench import added_latency, scoring
from service.bench.load import (
    MakeRequests,
    Progress,
    Request,
    Times,
    make_requests,
    percentiles,
    run_closed_loop,
    samples,
)
from service.bench.servers import (
    SHARES,
    VLLM,
    Running,
    contenders,
    service_name,
    start,
    start_at_fixed_speed,
)
from service.domain.policy import ServedPolicy
from service.settings import Settings

ROUNDS = 3
CONCURRENCY = (1, 8, 32)
TOKENS = 64
"""Tokens written for each request."""
GOALS = {0.0: 0.98, 0.1: 0.95}
"""Goals for the service's throughput as a share of vLLM's, by the share of scored answers."""
_REQUESTS = {1: 4}
"""Requests of a turn, by concurrency; otherwise twice the concurrency."""
_CATCH_UP = 300.0
"""Seconds that scoring may take to catch up after a turn."""


@dataclass(frozen=True)
class Turn:
    """A server's turn."""

    times: Times
    scored: int
    """Answers scored during the turn."""
    dropped: int
    """Answers that scoring had no room for, without those outside the sample."""
    scoring_lag: float
    """Seconds from the last answer to the last score."""


Turns = Mapping[str, Mapping[int, Sequence[Turn]]]
"""By contender, then by concurrency: the turns of all rounds."""


def measure(
    base: BaseModel,
    policies: Sequence[ServedPolicy],
    settings: Settings,
    examples: Sequence[Example],
    rounds: int = ROUNDS,
    shares: Iterable[float] = SHARES,
    progress: Progress = lambda _: None,
) -> dict[str, Any]:
    """Measure the servers: the object `servers` of `fgctl bench serve --json`. Raises FgctlError."""
    make = request_maker(base, policies, settings, examples)
    with ExitStack() as stack:
        servers = []
        for contender in contenders(shares):
            progress(f"Starting {contender.name}")
            servers.append(start(stack, contender, base, policies, settings))
        turns = take_turns(servers, make, rounds, progress)
        memory = {server.contender.name: server.program.peak_memory() for server in servers}
    return {
        "base": base.name,
        "profiles": [policy.profile for policy in policies],
        "prompt_tokens": fmean(len(request.prompt.token_ids) for request in make(len(examples), 0)),
        "tokens": TOKENS,
        "rounds": rounds,
    } | report(turns, memory)


def measure_layer(
    base: BaseModel,
    policies: Sequence[ServedPolicy],
    settings: Settings,
    examples: Sequence[Example],
    progress: Progress = lambda _: None,
) -> dict[str, Any]:
    """Measure the latency that the service adds to its engine: the object `layer` of `fgctl bench serve --json`.

    Raises FgctlError.
    """
    with start_at_fixed_speed(settings, {"FGCTL_SCORING_SHARE": "0"}) as (program, url):
        return added_latency.measure(program, url, request_maker(base, policies, settings, examples), progress)


def measure_scoring(
    base: BaseModel,
    policies: Sequence[ServedPolicy],
    settings: Settings,
    examples: Sequence[Example],
    seconds: float = scoring.SECONDS,
    progress: Progress = lambda _: None,
) -> dict[str, Any]:
    """Measure scoring under more load than it can handle: the object of `fgctl bench scoring --json`.

    Requests arrive for `seconds` at each load. Raises FgctlError.
    """
    profiles = [policy.profile for policy in policies]
    shares = {"FGCTL_SCORING_SHARE": "1", "FGCTL_SCORING_SHARES": f"{profiles[-1]}={scoring.LAST_SHARE}"}
    queue = {"FGCTL_SCORING_QUEUE": str(scoring.QUEUE)}
    make = request_maker(base, policies, settings, examples)
    with start_at_fixed_speed(settings, shares | queue) as (program, url):
        return scoring.measure(program.name, url, profiles, make, seconds, progress)


def request_maker(
    base: BaseModel, policies: Sequence[ServedPolicy], settings: Settings, examples: Sequence[Example]
) -> MakeRequests:
    """A function that makes the requests of a benchmark from examples."""
    formatter = PromptFormatter(load_tokenizer(base), settings.max_prompt_tokens)
    profiles = [policy.profile for policy in policies]
    return lambda count, first: make_requests(examples, profiles, formatter, count, first)


def take_turns(servers: Sequence[Running], make: MakeRequests, rounds: int, progress: Progress) -> Turns:
    """The turns of every server. Each round begins with another server."""
    turns: dict[str, dict[int, list[Turn]]] = {
        server.contender.name: {concurrency: [] for concurrency in CONCURRENCY} for server in servers
    }
    warm_up, first = make(CONCURRENCY[-1], 0), CONCURRENCY[-1]
    for server in servers:
        progress(f"Warming up {server.contender.name}")
        _turn(server, warm_up, CONCURRENCY[-1])
    for number in range(rounds):
        for concurrency in CONCURRENCY:
            requests = make(_REQUESTS.get(concurrency, 2 * concurrency), first)
            first += len(requests)
            for server in (*servers[number % len(servers) :], *servers[: number % len(servers)]):
                progress(f"Round {number + 1} of {rounds}, {concurrency} at once: {server.contender.name}")
                turns[server.contender.name][concurrency].append(_turn(server, requests, concurrency))
    return turns


def report(turns: Turns, memory: Mapping[str, int]) -> dict[str, Any]:
    """Throughput as medians and extremes over rounds, latencies as percentiles over all requests, and ratios.

    `memory` holds the peak memory of each contender's processes together, in bytes.
    """
    by_contender = {
        name: {
            "peak_memory_mib": memory[name] / 2**20,
            "levels": [_level(concurrency, rounds) for concurrency, rounds in levels.items()],
        }
        for name, levels in turns.items()
    }
    goals = {service_name(share): goal for share, goal in GOALS.items()}
    ratios = [
        {
            "of": name,
            "to": VLLM,
            "concurrency": concurrency,
            **ratio_of_medians(_throughput(rounds), _throughput(turns[VLLM][concurrency])),
            "goal": goals.get(name),
        }
        for name, levels in turns.items()
        if name != VLLM
        for concurrency, rounds in levels.items()
    ]
    return {"contenders": by_contender, "ratios": ratios}


def _level(concurrency: int, turns: Sequence[Turn]) -> dict[str, Any]:
    times = [turn.times for turn in turns]
    return {
        "concurrency": concurrency,
        "requests": sum(len(seen.latency) for seen in times),
        "requests_per_second": median_and_range([seen.requests_per_second for seen in times]),
        "tokens_per_second": median_and_range(_throughput(turns)),
        "time_to_first_token_ms": percentiles(value for seen in times for value in seen.first_token),
        "inter_token_latency_ms": percentiles(value for seen in times for value in seen.between_tokens),
        "latency_ms": percentiles(value for seen in times for value in seen.latency),
        "scored": sum(turn.scored for turn in turns),
        "dropped": sum(turn.dropped for turn in turns),
        "scoring_lag_seconds": max(turn.scoring_lag for turn in turns),
    }


def _throughput(turns: Sequence[Turn]) -> list[float]:
    return [turn.times.tokens_per_second for turn in turns]


def _turn(server: Running, requests: Sequence[Request], concurrency: int) -> Turn:
    """Send the requests to a server and wait until scoring has caught up. Raises FgctlError."""
    contender = server.contender
    with server.program.turn():
        before = _scoring_counts(server)
        times = asyncio.run(
            run_closed_loop(
                contender.name, server.url, requests, contender.body, concurrency=concurrency, tokens=TOKENS
            )
        )
        ended = time.monotonic()
        while True:
            counts = _scoring_counts(server)
            scored, dropped, left_out = (now - earlier for now, earlier in zip(counts, before, strict=True))
            lag = time.monotonic() - ended
            if contender.share is None or scored + dropped + left_out >= len(requests):
                return Turn(times, int(scored), int(dropped), lag if scored else 0.0)
            if lag > _CATCH_UP:
                raise FgctlError(
                    f"{contender.name} has not scored its answers within {_CATCH_UP:.0f} seconds; its log says why."
                )
            time.sleep(0.05)


def _scoring_counts(server: Running) -> tuple[float, float, float]:
    """Answers scored, dropped, and left out of the sample so far; zeros for vLLM's own server."""
    if server.contender.share is None:
        return 0.0, 0.0, 0.0
    scored = dropped = left_out = 0.0
    for sample in samples(server.url):
        if sample.name == "fg_responses_scored_total":
            scored += sample.value
        elif sample.name == "fg_scoring_dropped_total" and sample.labels["reason"] == "sampled_out":
            left_out += sample.value
        elif sample.name == "fg_scoring_dropped_total":
            dropped += sample.value
    return scored, dropped, left_out
