"""What stands behind the HTTP interface: the engine with its policies, and scoring. It starts while HTTP answers."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.requests import HTTPConnection

from policies.names import DEFAULT_PROFILE
from policies.prompt import PromptFormatter
from policies.store import SFT, PolicyStore
from rewards.configuration import load_configuration
from rewards.errors import FgctlError
from rewards.models.feedback_rewards import FeedbackRewards
from rewards.scorer import Scorer
from service.admission.places import Admission
from service.answering.answers import Answers
from service.answering.best_of import Chooser
from service.answering.pipeline import Generation
from service.engine.engine import Engine, Shapes, shapes_of
from service.engine.supervisor import Supervisor
from service.errors import Unavailable
from service.feedback.recorder import Versions
from service.feedback.runtime import Feedback
from service.metrics.metrics import Metrics
from service.scoring.queue import ScoringQueue
from service.scoring.recent_responses import RecentResponses
from service.scoring.sampling_shares import ScoringShares
from service.scoring.worker import ScoringWorker
from service.served.mixture_cache import MixtureCache
from service.served.resolver import Catalogue
from service.served.roster import Roster
from service.served.watch_profiles import watch_store
from service.settings import Settings

if TYPE_CHECKING:
    from policies.base import BaseModel

logger = logging.getLogger(__name__)
_STARTING = "The service is still starting; try again in a few seconds."

MakeEngine = Callable[["BaseModel", Shapes, Settings], Engine]
"""What makes an engine that is not yet started: Engine itself, or one to measure with."""


class Backend:
    """One service's parts, and how far they have come."""

    def __init__(self, settings: Settings, make_engine: MakeEngine = Engine) -> None:
        """Raises FgctlError when the file of categories is wrong."""
        self.settings = settings
        self._make_engine = make_engine
        self.categories = load_configuration(settings.categories).specs
        self._shares = ScoringShares(settings.scoring_share, settings.scoring_shares)
        self.metrics = Metrics(self._shares)
        self.metrics.versions.engine_up.set_function(lambda: float(self.engine_up))
        self.admission = Admission(settings, self.metrics)
        self.recent = RecentResponses(settings.recent_responses)
        self.feedback = Feedback(
            settings,
            self.metrics.feedback,
            self.metrics.agreement,
            lambda: Versions(self.metrics.quality.rewards or "", self.metrics.quality.labels),
        )
        self.failure: str | None = None
        """Why the backend could not start."""
        self._catalogue: Catalogue | None = None
        self._engine: Engine | None = None
        self._supervisor: Supervisor | None = None
        self._generation: Generation | None = None
        self._chooser: Chooser
        self._worker: ScoringWorker | None = None
        self._scoring: ScoringQueue | None = None
        self._tasks: list[asyncio.Task[None]] = []
        """What must run for as long as requests are answered."""
        self._unneeded: list[asyncio.Task[None]] = []
        """What ends with the first sign of the service's end."""
        self.draining = False
        """Whether the service has been told to stop."""

    async def start(self) -> None:
        """Load the base, every policy and the reward models, and check the policies. Raises FgctlError."""
        from transformers import AutoTokenizer

        from policies.base import cache_directory

        settings = self.settings
        await self.feedback.start()
        base: BaseModel = await asyncio.to_thread(_resolve_base, settings.base)
        store = PolicyStore(settings.policies)
        shapes = await asyncio.to_thread(_shapes, store, settings.resident_adapters)
        self._engine = self._make_engine(base, shapes, settings)
        await asyncio.to_thread(self._engine.start)
        mixtures = MixtureCache(settings.mixtures or cache_directory() / "mixtures", settings.stored_mixtures)
        self._catalogue = Catalogue(
            self._engine,
            store,
            base,
            self.categories,
            self.metrics,
            mixtures,
            residents=settings.resident_adapters,
            grid=settings.weights_grid,
        )
        self.metrics.announce_scorer(await asyncio.to_thread(_scorer, settings))
        await self._catalogue.reload()
        if not self.roster.served:
            reasons = " ".join(self.roster.broken.values()) or "Train and promote one by `fgctl train`."
            raise FgctlError(f"There is no policy to serve. {reasons}")
        self._worker = await self._start_scorer()
        self._scoring = ScoringQueue(
            self._worker,
            self.metrics,
            self.recent,
            queue=settings.scoring_queue,
            batch=settings.scoring_batch,
            shares=self._shares,
            calls=settings.scoring_processes,
            on_scores=self.feedback.scored,
        )
        formatter = PromptFormatter(AutoTokenizer.from_pretrained(base.path), settings.max_prompt_tokens)
        self._supervisor = Supervisor(
            self._engine, self._catalogue.engine_restarted, self.metrics.versions.engine_restarts.inc
        )
        self._chooser = Chooser(self._worker, self.categories, self.metrics, settings.best_of_timeout)
        self._generation = Generation(
            self._engine,
            self._catalogue,
            formatter,
            self._scoring,
            self.metrics,
            settings.max_tokens,
            self.admission,
            max_samples=settings.max_best_of,
            log_prompts=settings.log_prompts,
        )
        self._tasks = [asyncio.create_task(self._scoring.run())]
        self._unneeded = [asyncio.create_task(self._supervisor.run())]
        if settings.watch_policies:
            self._unneeded.append(asyncio.create_task(watch_store(store.root, self._catalogue.reload)))

    async def _start_scorer(self) -> ScoringWorker:
        """The scoring processes. Raises FgctlError."""
        settings, metrics = self.settings, self.metrics.scoring
        metrics.workers.set(settings.scoring_processes)
        worker = ScoringWorker(
            settings.rewards,
            settings.categories,
            settings.scoring_timeout,
            processes=settings.scoring_processes,
            on_work=metrics.busy.inc,
        )
        await worker.start()
        return worker

    async def drain(self) -> None:
        """Refuse what is new and let what was admitted finish and be scored, but not for longer than the settings say.

        What is still being answered then ends with an error that says so.
        """
        self.draining = True
        self.admission.stop()
        for task in self._unneeded:
            task.cancel()
        try:
            async with asyncio.timeout(self.settings.drain_seconds):
                await self.admission.emptied()
                if self._scoring is not None:
                    await self._scoring.drained()
        except TimeoutError:
            logger.warning("not everything was finished in %g s", self.settings.drain_seconds)
            self.admission.dismiss()
            if self._engine is not None:
                await self._engine.break_off()

    async def stop(self) -> None:
        """End the engine and the scoring process."""
        for task in (*self._tasks, *self._unneeded):
            task.cancel()
        if self._worker is not None:
            self._worker.stop()
        if self._engine is not None:
            await asyncio.to_thread(self._engine.stop)
        await self.feedback.stop()

    async def reload(self) -> None:
        """Take over what was promoted meanwhile. Raises Unavailable like `catalogue`, and BrokenPolicy."""
        await self.catalogue.reload()

    @property
    def generation(self) -> Generation:
        """What answers requests. Raises Unavailable until the backend has started, and when it could not."""
        if self._generation is None:
            raise Unavailable(self.failure or _STARTING)
        return self._generation

    @property
    def catalogue(self) -> Catalogue:
        """What finds the policy of a request. Raises Unavailable like `generation`."""
        if self._generation is None or self._catalogue is None:
            raise Unavailable(self.failure or _STARTING)
        return self._catalogue

    @property
    def roster(self) -> Roster:
        """The policies that are served now; empty until they are loaded."""
        return self._catalogue.roster if self._catalogue else Roster()

    @property
    def answers(self) -> Answers:
        """What endpoints answer by. Raises Unavailable like `generation`."""
        generation = self.generation  # there is a chooser once there is this
        return Answers(generation, self._chooser, self.recent, self.feedback.answered)

    @property
    def alive(self) -> bool:
        """False once the process needs a restart: the start failed, scoring has ended or the engine keeps dying."""
        ended = any(task.done() for task in self._tasks) or (
            not self.draining and any(task.done() for task in self._unneeded)
        )
        hopeless = self._supervisor is not None and self._supervisor.hopeless
        return self.failure is None and not ended and not hopeless

    @property
    def engine_up(self) -> bool:
        """Whether the engine works and holds the policies."""
        up = self._supervisor is None or self._supervisor.up
        return self._engine is not None and self._engine.alive and up

    @property
    def ready(self) -> bool:
        """Whether the engine works and some policy of every profile is loaded and answers as itself."""
        return self.status == "ready"

    @property
    def status(self) -> str:
        """How the service is, in a word."""
        if self.failure is not None:
            return "failed"
        if not self.alive:
            return "dead"
        if self.draining:
            return "stopping"
        if self._generation is None:
            return "starting"
        if not self.engine_up:
            return "restarting"
        return "broken" if self.roster.broken else "ready"

    def policies_as_json(self) -> dict[str, Any]:
        """The profiles that can be asked for, with what is behind each, and what cannot be served."""
        roster = self.roster
        return {
            "default": DEFAULT_PROFILE,
            "profiles": [
                policy.as_json()
                | (
                    {"canary": {"version": canary.policy.version, "share": canary.share}}
                    if (canary := roster.canaries.get(name))
                    else {}
                )
                for name, policy in roster.served.items()
            ],
            "broken": [{"profile": name, "reason": reason} for name, reason in roster.broken.items()],
            "refused": [{"profile": name, "reason": reason} for name, reason in roster.refused.items()],
        }


def _resolve_base(name: str | None) -> "BaseModel":
    from policies.base import resolve_base

    return resolve_base(name)


def _scorer(settings: Settings) -> Scorer:
    """What scores, as far as its version and its known errors go: without the models of further categories."""
    return Scorer(FeedbackRewards.load(settings.rewards), load_configuration(settings.categories))


def _shapes(store: PolicyStore, spare: int) -> Shapes:
    """Room for every adapter that the store's profiles name, one more to exchange it for, and `spare` others."""
    paths: list[Path] = []
    for name, profile in store.profiles().items():
        if name != SFT:
            versions = [profile.version, *([profile.canary.version] if profile.canary else [])]
            paths += [store.path(name, version) for version in versions]
    return shapes_of(paths, spare + 1)


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
