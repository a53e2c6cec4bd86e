"""Faults while clients keep asking: kills, hangs, a damaged policy store, clients that misbehave.

For each fault: what became of every request, whether /readyz told the truth, and whether the service came back by
itself. Then what a service leaves behind when it is ended at its worst moments.
"""

import asyncio
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from policies.store import PROFILES, PolicyStore
from rewards.errors import FgctlError
from service.bench.fault_clients import OUTCOMES, Observed, keep_asking
from service.bench.leftovers import leftover, wait_for_worker
from service.bench.load import Progress
from service.bench.paused_programs import Program, children_of, is_coordinator
from service.bench.servers import free_address, server_environment, wait_until_ready
from service.settings import Settings

CLIENTS = 12
ENGINE_TIMEOUT = 30.0
"""Seconds after which the measured service takes an engine that does not answer for hung."""
_SCORING_TIMEOUT = 20.0
_SEND_TIMEOUT = 5.0
_BEFORE = 3.0
"""Seconds of load before a fault."""
_AFTER = 8.0
"""Seconds of load after one that the service should not notice, and after it is back."""
_NOTICE = 120.0
_BACK = 900.0
"""Seconds within which a fault should be noticed, and the service be back."""
_SLOW_CLIENTS, _IDLE_CLIENTS, _LARGE_BODIES = 100, 200, 20


@dataclass(frozen=True)
class Site:
    """A running service, and where its policies are."""

    process: int
    """The id of its process."""
    url: str
    store: Path

    @property
    def address(self) -> tuple[str, int]:
        """Its host and port."""
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return host, int(port)


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong."""

    name: str
    act: Callable[[Site], Awaitable[None]]
    down: bool = False
    """Whether the service cannot answer until it has recovered, and /readyz must say so."""


def measure(base: str, settings: Settings, only: Iterable[str], progress: Progress) -> dict[str, Any]:
    """Try the faults whose names contain one of `only`, or all: the object of `fgctl bench faults --json`.

    `base` is the name of the model that these settings serve.
    """
    words = tuple(only)
    chosen = [fault for fault in FAULTS if _is_asked_for(fault.name, words)]
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        rows = []
        if chosen:
            program, site = stack.enter_context(_started(settings, Path(scratch) / "faults", progress))
            wait_until_ready(program, f"{site.url}/readyz")
            for fault in chosen:
                progress(fault.name)
                rows.append(asyncio.run(try_out(site, fault)))
                progress("  " + ", ".join(f"{rows[-1][key]} {key}" for key in ("sent", *OUTCOMES)))
        stack.close()
        left = list(_leftovers(settings, Path(scratch), words, progress))
    return {"base": base, "engine_timeout": ENGINE_TIMEOUT, "faults": rows, "leftovers": left}


def _is_asked_for(name: str, words: Sequence[str]) -> bool:
    return not words or any(word in name for word in words)


async def try_out(site: Site, fault: Fault) -> dict[str, Any]:
    """One fault under load: a row of the report. Raises FgctlError when the service does not come back."""
    observed, stop = Observed(), asyncio.Event()
    load = asyncio.create_task(keep_asking(site.url, CLIENTS, observed, stop))
    try:
        await asyncio.sleep(_BEFORE)
        await _seen(observed, True, _BACK, "The service is not ready")
        began = time.monotonic()
        await fault.act(site)
        back = await _back_after(observed, began, fault) if fault.down else None
        await asyncio.sleep(_AFTER)
    finally:
        stop.set()
        await load
    red = next((when - began for when, ready in observed.readiness if when > began and not ready), None)
    return {
        "fault": fault.name,
        "sent": observed.outcomes.total(),
        **{outcome: observed.outcomes[outcome] for outcome in OUTCOMES},
        "reasons": dict(observed.reasons),
        "not_ready_after": red,
        "ready_told_the_truth": (red is not None) == fault.down,
        "back_after": back,
    }


async def _back_after(observed: Observed, began: float, fault: Fault) -> float:
    """Seconds until the service was ready again."""
    await _seen(observed, False, _NOTICE, f"The fault {fault.name!r} was not noticed")
    await _seen(observed, True, _BACK, f"The fault {fault.name!r} was not overcome")
    return time.monotonic() - began


async def _seen(observed: Observed, ready: bool, seconds: float, problem: str) -> None:
    """Wait until /readyz says so. Raises FgctlError."""
    deadline = time.monotonic() + seconds
    while observed.ready != ready:
        if time.monotonic() > deadline:
            raise FgctlError(f"{problem} within {seconds:g} s.")
        await asyncio.sleep(0.05)


@contextmanager
def _started(settings: Settings, directory: Path, progress: Progress) -> Iterator[tuple[Program, Site]]:
    """A service on a copy of the policy store."""
    store = directory / "policies"
    shutil.copytree(PolicyStore(settings.policies).root, store)
    url, port = free_address()
    environment = server_environment(settings) | {
        "FGCTL_POLICIES": str(store),
        "FGCTL_ENGINE_TIMEOUT": str(ENGINE_TIMEOUT),
        "FGCTL_SCORING_TIMEOUT": str(_SCORING_TIMEOUT),
        "FGCTL_SEND_TIMEOUT": str(_SEND_TIMEOUT),
    }
    progress("Starting the service")
    command = [sys.executable, "-m", "cli", "serve", "--port", str(port)]
    if settings.base is not None:
        command += ["--base", settings.base]
    with Program("fgctl serve", command, environment) as program:
        yield program, Site(program.process.pid, url, store)


# What can go wrong


def signalled(find: Callable[[int], int], number: signal.Signals) -> Callable[[Site], Awaitable[None]]:
    """Send a signal to a process of the service."""

    async def act(site: Site) -> None:
        os.kill(find(site.process), number)

    return act


async def _empty_profiles(site: Site) -> None:
    await _damaged(site, "")


async def _cut_profiles(site: Site) -> None:
    text = (site.store / PROFILES).read_text(encoding="utf-8")
    await _damaged(site, text[: text.rindex("\n[")])


async def _damaged(site: Site, text: str) -> None:
    """Let the service see a damaged profiles.toml for some seconds."""
    file = site.store / PROFILES
    whole = file.read_text(encoding="utf-8")
    file.write_text(text, encoding="utf-8")
    await asyncio.sleep(_AFTER)
    file.write_text(whole, encoding="utf-8")


async def _replaced_store(site: Site) -> None:
    copy, old = site.store.with_name("copy"), site.store.with_name("old")
    await asyncio.to_thread(shutil.copytree, site.store, copy)
    site.store.rename(old)
    copy.rename(site.store)
    await asyncio.to_thread(shutil.rmtree, old)


async def _clients_that_stop_reading(site: Site) -> None:
    body = b'{"model":"medium","prompt":"Once","n":16,"max_tokens":512,"logprobs":5,"stream":true,"temperature":1}'
    head = (
        b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\n"
        b"content-type: application/json\r\ncontent-length: %d\r\n\r\n"
    )
    connections = []
    for _ in range(_SLOW_CLIENTS):
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(site.address)
        connection.sendall(head % len(body) + body)
        connections.append(connection)
    await asyncio.sleep(_AFTER)
    for connection in connections:
        connection.close()


async def _idle_clients(site: Site) -> None:
    connections = [socket.create_connection(site.address) for _ in range(_IDLE_CLIENTS)]
    await asyncio.sleep(_AFTER)
    for connection in connections:
        connection.close()


async def _large_bodies(site: Site) -> None:
    content = b'{"question":"Where?","passages":[' + b",".join([b"{}"] * 340_000) + b"]}"
    async with httpx.AsyncClient(base_url=site.url, timeout=60) as client:
        headers = {"content-type": "application/json"}
        await asyncio.gather(
            *(client.post("/generate", content=content, headers=headers) for _ in range(_LARGE_BODIES))
        )


def core_of(service: int) -> int:
    """The engine's core, or the newest of its ranks' cores: a child with children of its own."""
    return max(child for child in children_of(service) if children_of(child))


def worker_of(service: int) -> int:
    """The core's worker."""
    return children_of(core_of(service))[0]


def scorer_of(service: int) -> int:
    """A scoring process: a child without children that does not keep ranks in step."""
    return next(child for child in children_of(service) if not children_of(child) and not is_coordinator(child))


FAULTS = (
    Fault("kill -9 of the engine's core", signalled(core_of, signal.SIGKILL), down=True),
    Fault("kill -9 of the engine's worker", signalled(worker_of, signal.SIGKILL), down=True),
    Fault("SIGSTOP of the engine's core", signalled(core_of, signal.SIGSTOP), down=True),
    Fault("SIGSTOP of the engine's worker", signalled(worker_of, signal.SIGSTOP), down=True),
    Fault("kill -9 of the scoring process", signalled(scorer_of, signal.SIGKILL)),
    Fault("SIGSTOP of the scoring process", signalled(scorer_of, signal.SIGSTOP)),
    Fault("`profiles.toml` emptied", _empty_profiles),
    Fault("`profiles.toml` cut short", _cut_profiles),
    Fault("the store's directory replaced", _replaced_store),
    Fault(f"{_SLOW_CLIENTS} clients that read nothing", _clients_that_stop_reading),
    Fault(f"{_IDLE_CLIENTS} idle connections", _idle_clients),
    Fault(f"{_LARGE_BODIES} bodies of 1 MiB", _large_bodies),
)


# What is left behind


def _leftovers(settings: Settings, scratch: Path, words: Sequence[str], progress: Progress) -> Iterator[dict[str, Any]]:
    """Processes of a service some seconds after it was ended."""
    for when in ("while it starts", "while it serves"):
        for number in (signal.SIGTERM, signal.SIGKILL):
            if not _is_asked_for(f"{number.name} {when}", words):
                continue
            progress(f"{number.name} {when}")
            with _started(settings, scratch / f"{number.name} {when}", progress) as (program, site):
                if when == "while it serves":
                    wait_until_ready(program, f"{site.url}/readyz")
                else:
                    wait_for_worker(program)
                yield {"signal": number.name, "when": when, **leftover(program, number)}
