"""Running the service in the foreground."""

import uvicorn

from rewards.errors import FgctlError
from service.app import create_app
from service.settings import Settings


def run(settings: Settings, host: str, port: int) -> None:
    """Serve until interrupted. Raises FgctlError when the backend cannot start."""

    async def stop() -> None:
        server.should_exit = True

    app = create_app(settings, on_failure=stop)
    server = uvicorn.Server(uvicorn.Config(app, host=host, port=port, log_level="info", timeout_graceful_shutdown=10))
    server.run()
    if app.state.backend.failure is not None:
        raise FgctlError(app.state.backend.failure)
