"""Running the service in the foreground."""

import socket

import uvicorn

from rewards.errors import FgctlError
from service.app import create_app
from service.backend import StartEngine
from service.engine import Engine
from service.settings import Settings

_GRACE = 10
"""Seconds that requests in flight get to finish after an interruption."""


def run(settings: Settings, host: str, port: int, start_engine: StartEngine = Engine.start) -> None:
    """Serve until interrupted. Raises FgctlError when the address is taken or the backend cannot start."""
    listening = _listen(host, port)

    async def stop() -> None:
        server.should_exit = True

    app = create_app(settings, on_failure=stop, start_engine=start_engine)
    server = uvicorn.Server(uvicorn.Config(app, host=host, port=port, timeout_graceful_shutdown=_GRACE))
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
