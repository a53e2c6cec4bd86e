"""The parts of a service, and how they are wired: who is told when a completion finishes or is scored.

`Front` is what HTTP needs from the first moment. `Core` is what answers requests; it is there once the base model, the
policies and the reward models are loaded.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from policies.manifest import Named
from policies.prompt import PromptFormatter
from policies.store import PolicyStore
from rewards.categories import Category, CategorySpec
from rewards.configuration import load_configuration
from rewards.errors import FgctlError
from rewards.models.feedback_rewards import FeedbackRewards
from rewards.scorer import Scorer
from service.admission.places import Admission
from service.admission.shared_limits import SharedLimits
from service.answering.best_of import BestOfChooser
from service.answering.pipeline import Pipeline
from service.answering.sampling import SamplingLimits
from service.domain.caller import Limits
from service.domain.finished import FinishedCompletion
from service.domain.scoring_share import ScoringShares
from service.engine.engine import Engine
from service.engine.plan import AdapterShapes, shapes_of
from service.engine.remote.remote_engine import RemoteEngine
from service.engine.remote.watch import EngineWatch
from service.engine.supervisor import Supervisor
from service.feedback.recorder import Versions
from service.feedback.runtime import FeedbackRuntime
from service.metrics.metrics import Metrics
from service.metrics.policies import PolicyMetrics
from service.preferences.learned import LearnedPreferences
from service.scoring.on_request import ScoringOnRequest
from service.scoring.queue import ScoringQueue, Worker
from service.scoring.recent_responses import RecentResponses
from service.scoring.rewards_file import RewardsFile
from service.scoring.worker import ScoringWorker
from service.served.mixture_cache import MixtureCache
from service.served.resolver import Resolver
from service.settings import Settings
from service.sinks.sinks import Sinks
from service.telemetry.tracing import Tracing

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
    shared: SharedLimits | None
    """Limits over all replicas, if the settings name where they are counted."""
    recent: RecentResponses
    feedback: FeedbackRuntime
    sinks: Sinks
    tracing: Tracing | None

    @classmethod
    def of(cls, settings: Settings, tracing: Tracing | None = None) -> Self:
        """The parts by the settings. Raises FgctlError when one that names a file, limits or a sink is wrong."""
        shares = ScoringShares(settings.scoring_share, settings.scoring_shares)
        metrics = Metrics(shares.of, settings.score_labels)

        def versions() -> Versions:
            quality = metrics.quality
            return Versions(quality.rewards or "", quality.labels, quality.error_rates_at_home)

        return cls(
            settings,
            load_configuration(settings.categories).specs,
            shares,
            metrics,
            Admission(settings, metrics),
            shared_limits(settings),
            RecentResponses(settings.recent_responses),
            FeedbackRuntime(settings, metrics.feedback, metrics.agreement, metrics.error_rates, versions),
            Sinks(settings, metrics.sinks),
            tracing,
        )


@dataclass(frozen=True)
class Core:
    """What answers requests."""

    engine: Engine | RemoteEngine
    resolver: Resolver
    pipeline: Pipeline
    worker: Worker
    scoring: ScoringQueue
    on_request: ScoringOnRequest
    preferences: LearnedPreferences
    supervisor: Supervisor | EngineWatch
    store: PolicyStore
    rewards: RewardsFile | None = None
    """What follows the file of the reward models; None where they cannot change."""
    on_stop: ExitStack = field(default_factory=ExitStack)
    """Ends the engine and the scoring processes; blocks until they have ended."""


def wire(
    front: Front, engine: Engine | RemoteEngine, resolver: Resolver, worker: Worker, formatter: PromptFormatter,
    store: PolicyStore,
) -> Core:  # fmt: skip
    """A core of these parts, whose events reach everybody who listens."""
    settings, metrics = front.settings, front.metrics
    preferences = LearnedPreferences(front.feedback, front.categories, settings.weights_grid)
    evaluated = () if front.tracing is None else (front.tracing.evaluated,)
    scoring = ScoringQueue(
        worker,
        metrics.scoring,
        queue=settings.scoring_queue,
        batch=settings.scoring_batch,
        shares=front.shares,
        categories=front.categories,
        calls=settings.scoring_processes,
        on_scores=(
            front.recent.set_scores,
            front.feedback.add_scores,
            metrics.count_scores,
            front.sinks.add,
            *evaluated,
        ),
    )
    on_request = ScoringOnRequest(
        worker,
        metrics.scoring,
        front.categories,
        batch=settings.scoring_batch,
        calls=settings.scoring_processes,
        waiting=settings.score_waiting,
        timeout=settings.request_timeout,
        on_scores=(metrics.count_external, front.sinks.add, *evaluated),
    )

    def announce_chosen(finished: FinishedCompletion) -> None:
        """Those that were chosen by their scores are not scored again, nor counted: the choice would be, too."""
        if finished.completion.scored is not None:
            for listener in (front.sinks.add, *evaluated):
                listener(finished, finished.completion.scored)

    pipeline = Pipeline(
        engine,
        resolver,
        formatter,
        preferences,
        front.admission,
        BestOfChooser(worker, front.categories, metrics.traffic, settings.best_of_timeout),
        metrics.traffic,
        SamplingLimits(settings.max_tokens, settings.max_best_of),
        shared=front.shared,
        on_finished=(front.recent.add, front.feedback.add, scoring.submit, announce_chosen),
        log_prompts=settings.log_prompts,
    )
    supervisor: Supervisor | EngineWatch
    if isinstance(engine, RemoteEngine):
        supervisor = EngineWatch(engine, resolver.reload)
    else:
        supervisor = Supervisor(
            engine, resolver.engine_restarted, metrics.versions.engine_restarts.inc, patience=settings.engine_timeout
        )
    return Core(engine, resolver, pipeline, worker, scoring, on_request, preferences, supervisor, store)


async def load_core(front: Front, make_engine: MakeEngine = Engine) -> Core:
    """Load the base, every policy and the reward models, and check the policies. Raises FgctlError."""
    from policies.adapters.base_modules import modules_of
    from policies.base import cache_directory, load_tokenizer, resolve_base
    from policies.trunk import trunk_of

    settings, store = front.settings, PolicyStore(front.settings.policies)
    plain = await asyncio.to_thread(resolve_base, settings.base)
    base = await asyncio.to_thread(trunk_of, plain, store)
    front.metrics.info.show_base(*(Named(name=model.name, digest=model.digest) for model in (plain, base)))
    shapes = await asyncio.to_thread(shapes_of, store, settings.resident_adapters)
    with ExitStack() as on_failure:
        engine: Engine | RemoteEngine
        if settings.engine_url is None:
            engine = make_engine(base, shapes, settings)
        elif settings.engine_args:
            raise FgctlError("FGCTL_ENGINE_URL names an engine elsewhere; give the engine's arguments to its servers.")
        else:
            engine = RemoteEngine(base, shapes, settings)
        engine.on_load = front.metrics.engine.show
        on_failure.callback(engine.stop)
        await asyncio.to_thread(engine.start)
        front.admission.resize(engine.sequences)
        scorer = await asyncio.to_thread(_scorer, settings)
        front.metrics.announce_scorer(scorer)
        resolver = Resolver(
            engine,
            store,
            base,
            MixtureCache(settings.mixtures or cache_directory() / "mixtures", settings.stored_mixtures),
            (policy_metrics := PolicyMetrics(front.metrics, front.categories)),
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

        def announce(scorer: Scorer) -> None:
            front.metrics.announce_scorer(scorer)
            policy_metrics.policies_available(resolver.roster.policies())

        rewards = RewardsFile(lambda: _scorer(settings), scorer.version, worker, announce)
        core = replace(wire(front, engine, resolver, worker, formatter, store), rewards=rewards)
        core.on_stop.push(on_failure.pop_all())
    return core


def shared_limits(settings: Settings) -> SharedLimits | None:
    """The limits over all replicas, if there are any. Raises FgctlError for a URL that names no store."""
    if settings.limits_url is None:
        return None
    default = Limits(
        settings.caller_concurrency, settings.caller_requests_per_minute, settings.caller_tokens_per_minute
    )
    return SharedLimits(settings.limits_url, default, settings.limits_fail, settings.request_timeout)


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
