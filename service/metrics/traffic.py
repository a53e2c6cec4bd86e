"""Metrics of requests: how they ended, how long they took, which had to wait, and which weights they asked for."""

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
"""Label of requests for a profile that does not exist, so that callers cannot create labels."""


class TrafficMetrics:
    """Counted for every request, scored or not."""

    def __init__(self, registry: CollectorRegistry) -> None:
        policy = ("profile", "policy")
        self.requests = Counter(
            "fg_requests_total",
            "Requests for a generation, by how they ended: `ok`, `cancelled` (the client left), `error` (the engine "
            "failed), `rejected` (a 4xx or 503), `limited` (429), `overloaded` (503: the queue was full, or the wait "
            "too long), `timeout` (503: the request took too long). `error`: read the log; `overloaded`: add replicas.",
            (*policy, "outcome"),
            registry=registry,
        )
        self.generation_seconds = Histogram(
            "fg_generation_seconds",
            "Seconds from request to last token. A rise together with `fg_queue_seconds`: too much load; alone: longer "
            "answers.",
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
            "fg_tokens_total",
            "Tokens read (`prompt`) and written (`completion`).",
            ("profile", "kind"),
            registry=registry,
        )
        self.finished = Counter(
            "fg_finished_total",
            "Completions, by why they ended: `stop`, or `length` if `max_tokens` cut them. More `length`: answers have "
            "become longer, or clients ask for fewer tokens.",
            (*policy, "reason"),
            registry=registry,
        )
        self.waiting_requests = Gauge("fg_waiting_requests", "Requests waiting for the engine.", registry=registry)
        self.waiting_tokens = Gauge(
            "fg_waiting_tokens",
            "Tokens of waiting requests: those of their prompts and those they may write.",
            registry=registry,
        )
        self.running = Gauge(
            "fg_running_completions", "Completions in the engine, including its own short queue.", registry=registry
        )
        self.queue_seconds = Histogram(
            "fg_queue_seconds",
            "Seconds that a request waited, from the reservation of its place until it was let into the engine.",
            ("profile",),
            buckets=buckets.QUEUE_SECONDS,
            registry=registry,
        )
        self.refusals = Counter(
            "fg_refusals_total",
            "Requests refused because of load. 429, a caller is over its own limits: `concurrency`, "
            "`requests_per_minute`, `tokens_per_minute`. 503, the service is full or ends: `waiting_requests`, "
            "`waiting_tokens`, `queue_timeout`, `stopping`, `waiting_scores` (of `POST /score`).",
            ("profile", "reason"),
            registry=registry,
        )
        self.best_of_gain = Histogram(
            "fg_best_of_gain",
            "Weighted reward of the chosen of `best_of` samples, less the samples' mean. Near 0: the samples hardly "
            "differ, and `best_of` costs without any gain.",
            ("profile",),
            buckets=buckets.BEST_OF_GAIN,
            registry=registry,
        )
        self.weights_requests = Counter(
            "fg_weights_requests_total",
            "Requests by weights: `trained` (a policy has them), `resident` (a mixture in the engine), `loaded` (a "
            "mixture that was loaded first). Many `loaded`: raise `FGCTL_RESIDENT_ADAPTERS`.",
            ("result",),
            registry=registry,
        )
        self.weights_region = Counter(
            "fg_weights_region_total",
            "Requests, all of them, by the category that has over half of the served weight, or `balanced`. A region "
            "with many requests deserves a trained policy of its own.",
            ("region",),
            registry=registry,
        )
        self.learned = Counter(
            "fg_learned_requests_total",
            "Requests for a profile that were answered by other weights near it, learned from their caller's feedback.",
            ("profile",),
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
            self.learned.labels(served.profile)
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
