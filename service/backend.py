"""The service behind the HTTP interface, from start to stop. It starts while HTTP answers already."""

import asyncio
import gc
import logging
from collections.abc import Awaitable, Callable

from starlette.requests import HTTPConnection

from rewards.errors import FgctlError
from service.answering.pipeline import Pipeline
from service.domain.roster import Roster
from service.errors import Unavailable
from service.parts import Core, Front, load_core
from service.served.resolver import Resolver
from service.served.watch_file import file_signature, watch
from service.settings import Settings
from service.telemetry.tracing import Tracing

logger = logging.getLogger(__name__)
_STARTING = "The service is still starting; try again in a few seconds."

LoadCore = Callable[[Front], Awaitable[Core]]
"""Loads what answers requests: load_core, or a stand-in."""


class Backend:
    """One service's parts, and the state they are in."""

    def __init__(self, settings: Settings, load: LoadCore = load_core, tracing: Tracing | None = None) -> None:
        """Raises FgctlError when the file of categories is wrong."""
        self._load = load
        self.front = front = Front.of(settings, tracing)
        self.settings = settings
        self.categories = front.categories
        self.metrics = front.metrics
        self.admission = front.admission
        self.recent = front.recent
        self.feedback = front.feedback
        self.metrics.versions.engine_up.set_function(lambda: float(self.engine_up))
        self.failure: str | None = None
        """Why the backend could not start."""
        self.draining = False
        """Whether the service has been told to stop."""
        self._core: Core | None = None
        self._tasks: list[asyncio.Task[None]] = []
        """Tasks that must run for as long as requests are answered."""
        self._until_drained: list[asyncio.Task[None]] = []
        """Tasks that end as soon as the service is told to stop."""

    async def start(self) -> None:
        """Open the feedback store, load what answers requests, and begin. Raises FgctlError."""
        await self.feedback.start()
        self.front.sinks.start()
        core = await self._load(self.front)
        self.use(core)
        self._tasks = [asyncio.create_task(core.scoring.run())]
        self._until_drained = [asyncio.create_task(core.supervisor.run())]
        if self.settings.watch_policies:
            self._watch(core)
        # A million objects of libraries never go away. Looking through them all stops every stream for a while.
        gc.collect()
        gc.freeze()

    def _watch(self, core: Core) -> None:
        """Follow promotions, and changes of a file of reward models that the settings name."""
        watched = [watch(core.store.signature, core.resolver.reload, "the policies")]
        if core.rewards is not None and (file := self.settings.rewards) is not None:
            watched.append(watch(lambda: file_signature(file), core.rewards.reload, "the reward models"))
        self._until_drained += [asyncio.create_task(watching) for watching in watched]

    def use(self, core: Core) -> None:
        """Answer requests by these parts from now on."""
        self._core = core

    async def drain(self) -> None:
        """Refuse new requests and let admitted ones finish and be scored, but no longer than the settings say.

        Whatever is still being answered then ends with an error that says so.
        """
        self.draining = True
        self.admission.stop()
        for task in self._until_drained:
            task.cancel()
        try:
            async with asyncio.timeout(self.settings.drain_seconds):
                await self.admission.emptied()
                if self._core is not None:
                    await self._core.scoring.drained()
                    await self._core.on_request.drained()
        except TimeoutError:
            logger.warning("not everything was finished in %g s", self.settings.drain_seconds)
            self.admission.refuse_waiting()
            if self._core is not None:
                await self._core.engine.abort_all()

    async def stop(self) -> None:
        """End the engine and the scoring processes, and close the feedback store."""
        for task in (*self._tasks, *self._until_drained):
            task.cancel()
        if self._core is not None:
            await asyncio.to_thread(self._core.on_stop.close)
        closing = [self.feedback.stop(), self.front.sinks.stop()]
        if self.front.shared is not None:
            closing.append(self.front.shared.close())
        for problem in await asyncio.gather(*closing, return_exceptions=True):
            if isinstance(problem, Exception):  # which must not keep the others from their end
                logger.error("a part of the service did not end well", exc_info=problem)

    async def reload(self) -> None:
        """Take over what was promoted meanwhile, and other reward models.

        Raises Unavailable like `resolver`, and with the reason where the policies or the reward models stay as they
        were.
        """
        try:
            await self.resolver.reload()
        except FgctlError as error:
            raise Unavailable(f"Nothing was changed: {error}") from None
        if self.core.rewards is None:
            return
        try:
            await self.core.rewards.reload()
        except FgctlError as error:
            raise Unavailable(f"The policies were reloaded, and the reward models were not: {error}") from None

    @property
    def core(self) -> Core:
        """What answers requests. Raises Unavailable until the backend has started, and when it could not."""
        if self._core is None:
            raise Unavailable(self.failure or _STARTING)
        return self._core

    @property
    def pipeline(self) -> Pipeline:
        """What endpoints answer by. Raises Unavailable like `core`."""
        return self.core.pipeline

    @property
    def resolver(self) -> Resolver:
        """What finds the policy for a request. Raises Unavailable like `core`."""
        return self.core.resolver

    @property
    def roster(self) -> Roster:
        """The policies that are served now; empty until they are loaded."""
        return self._core.resolver.roster if self._core else Roster()

    @property
    def alive(self) -> bool:
        """False once the process needs a restart: the start failed, scoring has ended or the engine keeps dying."""
        ended = any(task.done() for task in self._tasks) or (
            not self.draining and any(task.done() for task in self._until_drained)
        )
        hopeless = self._core is not None and self._core.supervisor.hopeless
        return self.failure is None and not ended and not hopeless

    @property
    def engine_up(self) -> bool:
        """Whether the engine works and holds the policies."""
        return self._core is not None and self._core.engine.alive and self._core.supervisor.up

    @property
    def ready(self) -> bool:
        """Whether the engine works, and a policy of every profile, of which there is one, answers as itself."""
        return self.status == "ready"

    @property
    def status(self) -> str:
        """The service's state in a word."""
        if self.failure is not None:
            return "failed"
        if not self.alive:
            return "dead"
        if self.draining:
            return "stopping"
        if self._core is None:
            return "starting"
        if not self.engine_up:
            return "restarting"
        return "broken" if self.roster.broken or not self.roster.served else "ready"


def backend_of(connection: HTTPConnection) -> Backend:
    """The backend behind a request."""
    backend: Backend = connection.app.state.backend
    return backend


async def start_or_fail(backend: Backend, on_failure: Callable[[], Awaitable[None]]) -> None:
    """Start the backend; when it cannot, keep the reason and call `on_failure`."""
    try:
        await backend.start()
    except FgctlError as error:
        backend.failure = str(error)
    except Exception as error:  # engines fail to start in many ways; all end the service with a sentence
        logger.exception("the service could not start")
        backend.failure = f"The service could not start ({error}); its log says why."
    if backend.failure is not None:
        await on_failure()
