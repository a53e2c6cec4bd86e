"""Every metric of the service, with its labels and buckets. Labels are bounded: never a prompt, a user or a weight."""

from collections.abc import Collection, Iterable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from rewards.categories import Category
from rewards.scores import ScoredResponse
from service.errors import REFUSALS
from service.roster import ServedPolicy

OUTCOMES = ("ok", "cancelled", "error", "rejected", "limited", "overloaded", "timeout")
DROP_REASONS = ("queue_full", "timeout", "failed", "worker_died", "no_passages", "sampled_out")
WEIGHTS_RESULTS = ("trained", "resident", "loaded")
UNKNOWN = "unknown"
"""Label of requests that named no profile we know, so that strangers cannot create labels."""

_GENERATION = (0.25, 0.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 30, 45, 60, 120)
_FIRST_TOKEN = (0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 3, 5, 10, 30)
_QUEUE = (0.001, 0.01, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120)
_LAG = (0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300)
_GAIN = (0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3)
_REWARD = tuple(i / 5 for i in range(-5, 6))


class Metrics:
    """One service's metrics on a registry of its own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        policy = ("profile", "policy")
        self.requests = Counter(
            "fg_requests_total",
            "Requests for a generation, by how they ended.",
            (*policy, "outcome"),
            registry=registry,
        )
        self.generation_seconds = Histogram(
            "fg_generation_seconds",
            "Seconds from request to last token.",
            ("profile",),
            buckets=_GENERATION,
            registry=registry,
        )
        self.first_token_seconds = Histogram(
            "fg_time_to_first_token_seconds",
            "Seconds from request to first token.",
            ("profile",),
            buckets=_FIRST_TOKEN,
            registry=registry,
        )
        self.tokens = Counter(
            "fg_tokens_total", "Tokens read (prompt) and written (completion).", ("profile", "kind"), registry=registry
        )
        self.waiting_requests = Gauge("fg_waiting_requests", "Requests waiting for the engine.", registry=registry)
        self.waiting_tokens = Gauge(
            "fg_waiting_tokens", "Tokens that waiting requests hold and may write.", registry=registry
        )
        self.running = Gauge("fg_running_completions", "Completions in the engine.", registry=registry)
        self.queue_seconds = Histogram(
            "fg_queue_seconds",
            "Seconds that a request waited for the engine.",
            ("profile",),
            buckets=_QUEUE,
            registry=registry,
        )
        self.refusals = Counter(
            "fg_refusals_total", "Requests refused for load, by reason.", ("profile", "reason"), registry=registry
        )
        self.segments_scored = Counter(
            "fg_segments_scored_total",
            "Segments judged by the reward models.",
            (*policy, "category"),
            registry=registry,
        )
        self.segment_errors = Counter(
            "fg_segment_errors_total", "Segments judged to be errors.", (*policy, "category"), registry=registry
        )
        self.reward = Histogram(
            "fg_reward",
            "Reward of a segment, from -1 to 1.",
            ("profile", "category"),
            buckets=_REWARD,
            registry=registry,
        )
        self.best_of_gain = Histogram(
            "fg_best_of_gain",
            "Weighted reward of the best of several samples, less their mean.",
            ("profile",),
            buckets=_GAIN,
            registry=registry,
        )
        self.scoring_lag = Histogram(
            "fg_scoring_lag_seconds", "Seconds from last token to scores.", buckets=_LAG, registry=registry
        )
        self.queue_depth = Gauge("fg_scoring_queue_depth", "Responses waiting to be scored.", registry=registry)
        self.last_score = Gauge(
            "fg_last_score_timestamp_seconds", "When a response was last scored (Unix time).", registry=registry
        )
        self.dropped = Counter(
            "fg_scoring_dropped_total", "Responses that were never scored.", ("profile", "reason"), registry=registry
        )
        self.out_of_domain = Counter(
            "fg_out_of_domain_total",
            "Scored responses unlike what the reward models were fitted on.",
            policy,
            registry=registry,
        )
        self.baseline_error_ratio = Gauge(
            "fg_policy_baseline_error_ratio",
            "Share of segments judged errors in the policy's offline evaluation.",
            (*policy, "category"),
            registry=registry,
        )

        self.weights_requests = Counter(
            "fg_weights_requests_total",
            "Requests by weights: for a trained policy, for a mixture that the engine holds, or for one to load.",
            ("result",),
            registry=registry,
        )
        self.mixtures_built = Counter("fg_mixtures_built_total", "Mixtures computed and stored.", registry=registry)
        self.policy_refused = Gauge(
            "fg_policy_refused",
            "1 while a profile's newest version, or its canary, cannot be served and an older one is.",
            ("profile",),
            registry=registry,
        )
        self.engine_restarts = Counter(
            "fg_engine_restarts_total", "Starts of an engine after one has died.", registry=registry
        )
        for result in WEIGHTS_RESULTS:
            self.weights_requests.labels(result)

    def announce(self, policies: Iterable[ServedPolicy], categories: Collection[Category]) -> None:
        """Create the series of served policies at zero, so that the first error is an increase, and their baselines.

        `categories` are those that responses will be judged by.
        """
        for served in policies:
            labels = (served.profile, served.label)
            self.out_of_domain.labels(*labels)
            for outcome in OUTCOMES:
                self.requests.labels(*labels, outcome)
            for category in categories:
                self.segments_scored.labels(*labels, category)
                self.segment_errors.labels(*labels, category)
                self.reward.labels(served.profile, category)
            self.best_of_gain.labels(served.profile)
            for reason in DROP_REASONS:
                self.dropped.labels(served.profile, reason)
            for kind in ("prompt", "completion"):
                self.tokens.labels(served.profile, kind)
            for reason in REFUSALS:
                self.refusals.labels(served.profile, reason)
            for category, ratio in served.manifest.scores.get("error_ratio", {}).items():
                if category in categories:
                    self.baseline_error_ratio.labels(*labels, category).set(ratio)

    def count_scores(self, profile: str, version: str, scored: ScoredResponse) -> None:
        """Count one response's judged segments."""
        if not scored.in_domain:
            self.out_of_domain.labels(profile, version).inc()
        for category, judged in scored.categories.items():
            self.segments_scored.labels(profile, version, category).inc(len(judged.segments))
            self.segment_errors.labels(profile, version, category).inc(sum(s.error for s in judged.segments))
            for reward in judged.rewards:
                self.reward.labels(profile, category).observe(reward)

    def exposition(self) -> bytes:
        """The metrics in Prometheus' text format."""
        return generate_latest(self.registry)
