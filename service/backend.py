"""What stands behind the HTTP interface: the engine with its policies, and scoring. It starts while HTTP answers."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from starlette.requests import HTTPConnection

from policies.prompt import PromptFormatter
from policies.store import PolicyStore
from rewards.configuration import load_configuration
from rewards.errors import FgctlError
from service.catalogue import Catalogue
from service.engine import Engine, same_answers
from service.errors import Unavailable
from service.generation import Generation
from service.metrics import Metrics
from service.roster import Roster, ServedPolicy
from service.scoring.queue import ScoringQueue
from service.scoring.recent import RecentResponses
from service.scoring.worker import ScoringWorker
from service.settings import Settings

if TYPE_CHECKING:
    from policies.base import BaseModel

logger = logging.getLogger(__name__)


StartEngine = Callable[["BaseModel", Sequence[ServedPolicy], Settings], Engine]
"""What loads the base and answers by the policies: Engine.start, or an engine to measure with."""


class Prober(Protocol):
    """What policies are checked on: the engine."""

    async def load(self, policy: ServedPolicy) -> None:
        """Make an adapter resident."""

    async def probe(self, policy: ServedPolicy | None) -> list[float]:
        """Log-probabilities of a fixed text."""


class Backend:
    """One service's parts, and how far they have come."""

    def __init__(self, settings: Settings, start_engine: StartEngine = Engine.start) -> None:
        """Raises FgctlError when the file of categories is wrong."""
        self.settings = settings
        self._start_engine = start_engine
        self.categories = load_configuration(settings.categories).specs
        self.metrics = Metrics()
        self.recent = RecentResponses(settings.recent_responses)
        self.roster = Roster({}, {}, tuple(self.categories))
        self.failure: str | None = None
        """Why the backend could not start."""
        self._engine: Engine | None = None
        self._generation: Generation | None = None
        self._worker: ScoringWorker | None = None
        self._scoring: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load the base, every policy and the reward models, and check the policies. Raises FgctlError."""
        from transformers import AutoTokenizer

        settings = self.settings
        base: BaseModel = await asyncio.to_thread(_resolve_base, settings.base)
        self.roster = await asyncio.to_thread(Roster.of, PolicyStore(settings.policies), base, tuple(self.categories))
        if not self.roster.served:
            reasons = " ".join(self.roster.broken.values()) or "Train and promote one by `fgctl train`."
            raise FgctlError(f"There is no policy to serve. {reasons}")
        self._engine = await asyncio.to_thread(self._start_engine, base, tuple(self.roster.served.values()), settings)
        await check_policies(self._engine, self.roster)
        if not self.roster.served:
            raise FgctlError(f"There is no policy to serve. {' '.join(self.roster.broken.values())}")
        self._worker = ScoringWorker(settings.rewards, settings.categories, settings.scoring_timeout)
        await self._worker.start()
        scoring = ScoringQueue(
            self._worker,
            self.metrics,
            self.recent,
            queue=settings.scoring_queue,
            batch=settings.scoring_batch,
            share=settings.scoring_share,
        )
        self._scoring = asyncio.create_task(scoring.run())
        self.metrics.announce(self.roster.served.values(), self.categories)
        formatter = PromptFormatter(AutoTokenizer.from_pretrained(base.path), settings.max_prompt_tokens)
        self._generation = Generation(
            self._engine, Catalogue(self.roster), formatter, scoring, self.metrics, settings.max_tokens
        )

    async def stop(self) -> None:
        """End the engine and the scoring process."""
        if self._scoring is not None:
            self._scoring.cancel()
        if self._worker is not None:
            self._worker.stop()
        if self._engine is not None:
            await asyncio.to_thread(self._engine.stop)

    @property
    def generation(self) -> Generation:
        """What answers requests. Raises Unavailable until the backend has started, and when it could not."""
        if self._generation is None:
            raise Unavailable(self.failure or "The service is still starting; try again in a few seconds.")
        return self._generation

    @property
    def alive(self) -> bool:
        """False once the process needs a restart: the start failed, or the engine or scoring has ended."""
        ended = self._scoring is not None and self._scoring.done()
        return self.failure is None and not ended and (self._engine is None or self._engine.alive)

    @property
    def ready(self) -> bool:
        """Whether every policy of the store is loaded and answers differently from the base and from the others."""
        return self.alive and self._generation is not None and not self.roster.broken


def _resolve_base(name: str | None) -> "BaseModel":
    from policies.base import resolve_base

    return resolve_base(name)


async def check_policies(engine: Prober, roster: Roster) -> None:
    """Load every policy, and refuse those that cannot be loaded or answer just like the base or another policy.

    A name mismatch between adapter and base makes an engine ignore the adapter without a word; this is where it shows.
    """
    answers: dict[str, Sequence[float]] = {"the base": await engine.probe(None)}
    for policy in list(roster.served.values()):
        try:
            await engine.load(policy)
            probed = await engine.probe(policy)
        except Exception as error:  # noqa: BLE001  # the engine raises bare Exception; the others can still be served
            roster.refuse(policy.profile, f"The engine cannot load {policy.path} ({error}); train it again.")
            continue
        twin = next((name for name, other in answers.items() if same_answers(probed, other)), None)
        if twin is not None:
            roster.refuse(policy.profile, f"Its adapter answers just like {twin}; train it again.")
        else:
            answers[f"profile {policy.profile}"] = probed
    for profile, reason in roster.broken.items():
        logger.error("profile %s is not served: %s", profile, reason)


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
    except Exception as error:  # engines fail to start in many ways; all end the service, in words
        logger.exception("the service could not start")
        backend.failure = f"The service could not start ({error}); its log says why."
    if backend.failure is not None:
        await on_failure()
