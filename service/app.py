"""The FastAPI application."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from service.api import adapters, admin, preferences, responses, status, tokenize
from service.api.common.rate_limits import RATE_LIMIT_HEADERS
from service.api.feedback.router import router as feedback_router
from service.api.generate.router import router as generate_router
from service.api.openai.router import router as openai_router
from service.api.score.router import router as score_router
from service.backend import Backend, LoadCore, start_or_fail
from service.edge.authentication import Authentication
from service.edge.error_replies import install_handlers
from service.edge.host_check import HostCheck
from service.edge.keys import Keyring
from service.edge.middleware import BodyLimit, HeadLimit, HeadRequests, RequestLog, SecurityHeaders
from service.pages.router import assets
from service.pages.router import router as pages_router
from service.parts import load_core
from service.settings import Settings
from service.telemetry.tracing import Tracing


async def _nothing() -> None:
    """The default for `on_failure`: /livez and /readyz report it."""


def create_app(
    settings: Settings,
    on_failure: Callable[[], Awaitable[None]] = _nothing,
    tracing: Tracing | None = None,
    load: LoadCore = load_core,
    *,
    this_machine_only: bool = False,
) -> FastAPI:
    """An application whose backend starts in the background, so that /livez and /readyz answer meanwhile.

    `on_failure` is awaited when the backend cannot start; `load` loads what answers requests. `this_machine_only` says
    that nobody else can connect and no key is asked for. Raises FgctlError when a file of the settings is wrong.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        starting = asyncio.create_task(start_or_fail(app.state.backend, on_failure))
        try:
            yield
        finally:
            starting.cancel()
            await asyncio.wait((starting,))
            await app.state.backend.stop()
            if tracing is not None:
                await asyncio.to_thread(tracing.stop)

    app = FastAPI(
        title="fgctl", summary="Answers whose reward trade-off you choose.", lifespan=lifespan, docs_url=None,
        redoc_url=None,
    )  # fmt: skip
    app.state.backend = Backend(settings, load, tracing)
    install_handlers(app)
    app.include_router(generate_router)
    app.include_router(openai_router)
    app.include_router(score_router)
    app.include_router(feedback_router)
    app.include_router(responses.router)
    app.include_router(preferences.router)
    app.include_router(tokenize.router)
    app.include_router(status.router)
    app.include_router(admin.router)
    app.include_router(adapters.router)
    app.include_router(pages_router)
    app.mount("/static", assets)
    # What is added last is outermost.
    app.add_middleware(HeadRequests)
    app.add_middleware(BodyLimit, limit=settings.max_body_bytes, seconds=settings.receive_timeout)
    keyring = None if settings.keys is None else Keyring(settings.keys)
    app.add_middleware(Authentication, routes=app.routes, keyring=keyring, metrics_open=settings.metrics_open)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["*"],  # OpenAI's clients send x-stainless-* headers, and more with every version
            expose_headers=["retry-after", "x-request-id", *RATE_LIMIT_HEADERS],
        )
    if this_machine_only:
        app.add_middleware(HostCheck, hosts=settings.hosts)
    app.add_middleware(HeadLimit, limit=settings.max_head_bytes)
    app.add_middleware(RequestLog, tracing=tracing)
    app.add_middleware(SecurityHeaders)
    return app
