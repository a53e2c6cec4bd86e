"""Metrics of requests: how they ended, how long they took, who had to wait, and for which weights they asked."""

from collections.abc import Collection, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from policies.weights import BALANCED
from rewards.categories import Category
from service.domain.policy import ServedPolicy
from service.errors import REFUSALS
from service.metrics import buckets

OUTCOMES = ("ok", "cancelled", "error", "rejected", "limited", "overloaded", "timeout")
FINISH_REASONS = ("stop", "length")
WEIGHTS_RESULTS = ("trained", "resident", "loaded")
TOKEN_KINDS = ("prompt", "completion")
UNKNOWN = "unknown"
"""Label of requests that named no profile we know, so that strangers cannot create labels."""


class TrafficMetrics:
    """Counted for every request, scored or not."""

    def __init__(self, registry: CollectorRegistry) -> None:
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
            buckets=buckets.GENERATION_SECONDS,
            registry=registry,
        )
        self.first_token_seconds = Histogram(
            "fg_time_to_first_token_seconds",
            "Seconds from request to first token.",
            ("profile",),
            buckets=buckets.FIRST_TOKEN_SECONDS,
            registry=registry,
        )
        self.tokens = Counter(
            "fg_tokens_total", "Tokens read (prompt) and written (completion).", ("profile", "kind"), registry=registry
        )
        self.finished = Counter(
            "fg_finished_total", "Completions, by why they ended.", (*policy, "reason"), registry=registry
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
            buckets=buckets.QUEUE_SECONDS,
            registry=registry,
        )
        self.refusals = Counter(
            "fg_refusals_total", "Requests refused for load, by reason.", ("profile", "reason"), registry=registry
        )
        self.best_of_gain = Histogram(
            "fg_best_of_gain",
            "Weighted reward of the best of several samples, less their mean.",
            ("profile",),
            buckets=buckets.BEST_OF_GAIN,
            registry=registry,
        )
        self.weights_requests = Counter(
            "fg_weights_requests_total",
            "Requests by weights: for a trained policy, for a mixture that the engine holds, or for one to load.",
            ("result",),
            registry=registry,
        )
        self.weights_region = Counter(
            "fg_weights_region_total",
            "Requests by the category that has over half of the weight served, or balanced.",
            ("region",),
            registry=registry,
        )
        self.mixtures_built = Counter("fg_mixtures_built_total", "Mixtures computed and stored.", registry=registry)
        for result in WEIGHTS_RESULTS:
            self.weights_requests.labels(result)

    def announce(self, policies: Iterable[ServedPolicy], categories: Collection[Category]) -> None:
        """Create the series of served policies at zero."""
        for region in (*categories, BALANCED):
            self.weights_region.labels(region)
        for served in policies:
            labels = (served.profile, served.version_label)
            for outcome in OUTCOMES:
                self.requests.labels(*labels, outcome)
            for reason in FINISH_REASONS:
                self.finished.labels(*labels, reason)
            for kind in TOKEN_KINDS:
                self.tokens.labels(served.profile, kind)
            for reason in REFUSALS:
                self.refusals.labels(served.profile, reason)
            for histogram in (
                self.generation_seconds,
                self.first_token_seconds,
                self.queue_seconds,
                self.best_of_gain,
            ):
                histogram.labels(served.profile)
