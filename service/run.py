"""Running the service in the foreground."""

import asyncio
import ipaddress
import os
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import uvicorn
from sse_starlette.sse import AppStatus

from rewards.errors import FgctlError
from service.app import create_app
from service.backend import LoadCore
from service.edge import logs
from service.edge.http_protocol.head_limit import bounded_config
from service.parts import load_core
from service.settings import Settings
from service.telemetry.tracing import Tracing

_GRACE = 5
"""Seconds that connections get to close after every request has been answered or broken off."""


class _Server(uvicorn.Server):
    """While it drains, answers new requests by 503 instead of refusing their connections."""

    def __init__(self, config: uvicorn.Config, drain: Callable[[], Coroutine[Any, Any, None]]) -> None:
        super().__init__(config)
        self._drain = drain

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain the backend, unless told a second time to stop, and end as uvicorn does."""
        draining = asyncio.create_task(self._drain())
        while not draining.done() and not self.force_exit:
            await asyncio.wait((draining,), timeout=0.1)
        draining.cancel()
        await super().shutdown(sockets)


def run(settings: Settings, host: str, port: int, load: LoadCore = load_core) -> None:
    """Serve until interrupted.

    Raises FgctlError when the address is taken, would be open to strangers, or the backend cannot start.
    """
    logs.configure(settings)
    # The tokenizer gets one prompt at a time; handing it to a thread of its own costs more than it saves.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    listening = _listen(host, port)
    only_here = _only_here(listening)
    if settings.keys is None and not settings.open and not only_here:
        listening.close()
        raise FgctlError(
            f"On {host} anybody could use the service: make a key by `fgctl keys add NAME --keys FILE` and set "
            f"FGCTL_KEYS=FILE, or allow it by --open (FGCTL_OPEN=1)."
        )

    async def stop() -> None:
        server.should_exit = True

    app = create_app(
        settings, on_failure=stop, tracing=Tracing.of(settings), load=load,
        this_machine_only=only_here and settings.keys is None and not settings.open,
    )  # fmt: skip
    config = bounded_config(
        app, settings.max_head_bytes, settings.receive_timeout, send_seconds=settings.send_timeout,
        max_connections=settings.max_connections, host=host, port=port, timeout_graceful_shutdown=_GRACE,
        timeout_keep_alive=settings.keep_alive_timeout,
        # Lines of every request come from service/edge/middleware.py.
        access_log=False, log_config=None,
    )  # fmt: skip
    server = _Server(config, app.state.backend.drain)
    # Streams end as their answers do, not as soon as the process is told to stop.
    AppStatus.disable_automatic_graceful_drain()
    server.run(sockets=[listening])
    if app.state.backend.failure is not None:
        raise FgctlError(app.state.backend.failure)


def _listen(host: str, port: int) -> socket.socket:
    """Take the address before anything loads, so that a mistake shows at once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise FgctlError(
            f"Cannot listen on {host}:{port} ({error.strerror}); stop what is there, or choose another --port."
        ) from None


def _only_here(listening: socket.socket) -> bool:
    """Whether nobody but this machine can connect."""
    return ipaddress.ip_address(str(listening.getsockname()[0]).partition("%")[0]).is_loopback
