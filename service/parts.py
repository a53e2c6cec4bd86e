"""The parts of a service, and how they are wired: who is told when a completion finishes or is scored.

`Front` is what HTTP needs from the first moment. `Core` is what answers requests; it is there once the base model, the
policies and the reward models are loaded.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from policies.prompt import PromptFormatter
from policies.store import SFT, PolicyStore
from rewards.categories import Category, CategorySpec
from rewards.configuration import load_configuration
from rewards.errors import FgctlError
from rewards.models.feedback_rewards import FeedbackRewards
from rewards.scorer import Scorer
from service.admission.places import Admission
from service.answering.best_of import BestOfChooser
from service.answering.pipeline import Pipeline
from service.answering.sampling import SamplingLimits
from service.domain.scoring_share import ScoringShares
from service.engine.engine import AdapterShapes, Engine, shapes_for
from service.engine.supervisor import Supervisor
from service.feedback.recorder import Versions
from service.feedback.runtime import FeedbackRuntime
from service.metrics.metrics import Metrics
from service.metrics.policies import PolicyMetrics
from service.scoring.queue import ScoringQueue, Worker
from service.scoring.recent_responses import RecentResponses
from service.scoring.worker import ScoringWorker
from service.served.mixture_cache import MixtureCache
from service.served.resolver import Resolver
from service.settings import Settings

if TYPE_CHECKING:
    from policies.base import BaseModel

MakeEngine = Callable[["BaseModel", AdapterShapes, Settings], Engine]
"""Makes an engine that is not yet started: Engine itself, or one for a benchmark."""


@dataclass(frozen=True)
class Front:
    """What HTTP needs from the first moment."""

    settings: Settings
    categories: Mapping[Category, CategorySpec]
    shares: ScoringShares
    metrics: Metrics
    admission: Admission
    recent: RecentResponses
    feedback: FeedbackRuntime

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The parts by the settings. Raises FgctlError when the file of categories is wrong."""
        shares = ScoringShares(settings.scoring_share, settings.scoring_shares)
        metrics = Metrics(shares.of)

        def versions() -> Versions:
            return Versions(metrics.quality.rewards or "", metrics.quality.labels)

        return cls(
            settings,
            load_configuration(settings.categories).specs,
            shares,
            metrics,
            Admission(settings, metrics),
            RecentResponses(settings.recent_responses),
            FeedbackRuntime(settings, metrics.feedback, metrics.agreement, metrics.error_rates, versions),
        )


@dataclass(frozen=True)
class Core:
    """What answers requests."""

    engine: Engine
    resolver: Resolver
    pipeline: Pipeline
    worker: Worker
    scoring: ScoringQueue
    supervisor: Supervisor
    store: PolicyStore
    on_stop: ExitStack = field(default_factory=ExitStack)
    """Ends the engine and the scoring processes; blocks until they have ended."""


def wire(
    front: Front, engine: Engine, resolver: Resolver, worker: Worker, formatter: PromptFormatter, store: PolicyStore
) -> Core:
    """A core of these parts, whose events reach everybody who listens."""
    settings, metrics = front.settings, front.metrics
    scoring = ScoringQueue(
        worker,
        metrics.scoring,
        queue=settings.scoring_queue,
        batch=settings.scoring_batch,
        shares=front.shares,
        categories=front.categories,
        calls=settings.scoring_processes,
        on_scores=(front.recent.set_scores, front.feedback.add_scores, metrics.count_scores),
    )
    pipeline = Pipeline(
        engine,
        resolver,
        formatter,
        front.admission,
        BestOfChooser(worker, front.categories, metrics.traffic, settings.best_of_timeout),
        metrics.traffic,
        SamplingLimits(settings.max_tokens, settings.max_best_of),
        on_finished=(front.recent.add, front.feedback.add, scoring.submit),
        log_prompts=settings.log_prompts,
    )
    supervisor = Supervisor(
        engine, resolver.engine_restarted, metrics.versions.engine_restarts.inc, patience=settings.engine_timeout
    )
    return Core(engine, resolver, pipeline, worker, scoring, supervisor, store)


async def load_core(front: Front, make_engine: MakeEngine = Engine) -> Core:
    """Load the base, every policy and the reward models, and check the policies. Raises FgctlError."""
    from policies.adapters.base_modules import modules_of
    from policies.base import cache_directory, load_tokenizer, resolve_base
    from policies.trunk import trunk_of

    settings, store = front.settings, PolicyStore(front.settings.policies)
    base = await asyncio.to_thread(lambda: trunk_of(resolve_base(settings.base), store))
    shapes = await asyncio.to_thread(_shapes, store, settings.resident_adapters)
    with ExitStack() as on_failure:
        engine = make_engine(base, shapes, settings)
        on_failure.callback(engine.stop)
        await asyncio.to_thread(engine.start)
        front.metrics.announce_scorer(await asyncio.to_thread(_scorer, settings))
        resolver = Resolver(
            engine,
            store,
            base,
            MixtureCache(settings.mixtures or cache_directory() / "mixtures", settings.stored_mixtures),
            PolicyMetrics(front.metrics, front.categories),
            resident_adapters=settings.resident_adapters,
            grid=settings.weights_grid,
            modules=await asyncio.to_thread(modules_of, base.path),
        )
        await resolver.reload()
        if not resolver.roster.served:
            reasons = " ".join(resolver.roster.broken.values()) or "Train and promote one by `fgctl train`."
            raise FgctlError(f"There is no policy to serve. {reasons}")
        worker = _worker(front)
        on_failure.callback(worker.stop)
        await worker.start()
        formatter = PromptFormatter(load_tokenizer(base), settings.max_prompt_tokens)
        core = wire(front, engine, resolver, worker, formatter, store)
        core.on_stop.push(on_failure.pop_all())
    return core


def _worker(front: Front) -> ScoringWorker:
    settings, metrics = front.settings, front.metrics.scoring
    metrics.workers.set(settings.scoring_processes)
    return ScoringWorker(
        settings.rewards,
        settings.categories,
        settings.scoring_timeout,
        processes=settings.scoring_processes,
        on_work=metrics.busy.inc,
    )


def _scorer(settings: Settings) -> Scorer:
    """The scorer without the models of configured categories: enough for its version and its known errors."""
    return Scorer(FeedbackRewards.load(settings.rewards), load_configuration(settings.categories))


def _shapes(store: PolicyStore, spare: int) -> AdapterShapes:
    """Room for every adapter that the store's profiles name, one more to exchange it for, and `spare` others."""
    paths: list[Path] = []
    for name, profile in store.profiles().items():
        if name != SFT:
            versions = [profile.version, *([profile.canary.version] if profile.canary else [])]
            paths += [store.path(name, version) for version in versions]
    return shapes_for(paths, spare + 1)
