"""The FastAPI application."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI

from service import status
from service.backend import Backend, StartEngine, start_or_fail
from service.engine import Engine
from service.errors import install_handlers
from service.generate.router import router as generate_router
from service.middleware import BodyLimit, RequestId
from service.settings import Settings


async def _nothing() -> None:
    """The default for `on_failure`: /livez and /readyz tell."""


def create_app(
    settings: Settings,
    on_failure: Callable[[], Awaitable[None]] = _nothing,
    start_engine: StartEngine = Engine.start,
) -> FastAPI:
    """An application whose backend starts in the background, so that /livez and /readyz answer meanwhile.

    `on_failure` is awaited when the backend cannot start.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        starting = asyncio.create_task(start_or_fail(app.state.backend, on_failure))
        try:
            yield
        finally:
            starting.cancel()
            await app.state.backend.stop()

    app = FastAPI(title="fgctl", summary="Answers whose reward trade-off you choose.", lifespan=lifespan)
    app.state.backend = Backend(settings, start_engine)
    install_handlers(app)
    app.include_router(generate_router)
    app.include_router(status.router)
    app.add_middleware(BodyLimit, limit=settings.max_body_bytes)
    app.add_middleware(RequestId)
    return app
