"""Running the service in the foreground."""

import ipaddress
import socket

import uvicorn

from rewards.errors import FgctlError
from service import logs
from service.app import create_app
from service.http import bounded_config
from service.settings import Settings
from service.tracing import Tracing

_GRACE = 10
"""Seconds that requests in flight get to finish after an interruption."""


def run(settings: Settings, host: str, port: int) -> None:
    """Serve until interrupted.

    Raises FgctlError when the address is taken, would be open to strangers, or the backend cannot start.
    """
    logs.configure(settings)
    listening = _listen(host, port)
    if settings.keys is None and not settings.open and not _only_here(listening):
        listening.close()
        raise FgctlError(
            f"On {host} anybody could use the service: make a key by `fgctl keys add NAME --keys FILE` and set "
            f"FGCTL_KEYS=FILE, or say by --open (FGCTL_OPEN=1) that it is meant."
        )

    async def stop() -> None:
        server.should_exit = True

    app = create_app(settings, on_failure=stop, tracing=Tracing.of(settings))
    config = bounded_config(
        app, settings.max_head_bytes, settings.receive_timeout, host=host, port=port, timeout_graceful_shutdown=_GRACE,
        # Lines of every request come from service/middleware.py.
        access_log=False, log_config=None,
    )  # fmt: skip
    server = uvicorn.Server(config)
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
