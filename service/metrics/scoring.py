"""Metrics of scoring itself: whether it keeps up, what it drops and why, how reliable it is; and of where scores go."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from rewards.categories import Category
from rewards.models.typical_inputs import TypicalInputs
from rewards.statistics.calibration import OperatingPoint
from service.domain.policy import ServedPolicy
from service.metrics import buckets

DROP_REASONS = ("queue_full", "timeout", "failed", "worker_died", "no_passages", "sampled_out")
ON_REQUEST = ("ok", "failed", "timeout", "overloaded")
SINK_LOSSES = ("queue_full", "refused", "failed", "stopped")
STATISTICS = ("accuracy", "macro_f1", "pairwise_accuracy")


class ScoringMetrics:
    """offered = scored + dropped + waiting or being scored, for each profile."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.offered = Counter(
            "fg_scoring_offered_total", "Finished answers, offered to scoring.", ("profile",), registry=registry
        )
        self.scored = Counter("fg_responses_scored_total", "Answers scored.", ("profile", "policy"), registry=registry)
        self.dropped = Counter(
            "fg_scoring_dropped_total",
            "Answers never scored: `sampled_out` (not in the sample), `no_passages`, `queue_full` (too much load; an "
            "even share of every profile), `timeout`, `failed`, `worker_died` (also beside an answer that hung: all "
            "processes are replaced). `queue_full`: lower `FGCTL_SCORING_SHARE` or raise `FGCTL_SCORING_PROCESSES`; "
            "`timeout`, `failed`, `worker_died`: read the log.",
            ("profile", "reason"),
            registry=registry,
        )
        self.on_request = Counter(
            "fg_scored_on_request_total",
            "Responses sent to `POST /score`, by outcome: `ok`, `failed` (the log says why), `timeout`, `overloaded` "
            "(too many waited). `overloaded`: raise `FGCTL_SCORING_PROCESSES`, or send fewer at once.",
            ("outcome",),
            registry=registry,
        )
        for outcome in ON_REQUEST:
            self.on_request.labels(outcome)
        self.lag = Histogram(
            "fg_scoring_lag_seconds",
            "Seconds from the last token to the scores.",
            buckets=buckets.SCORING_LAG_SECONDS,
            registry=registry,
        )
        self.queue_depth = Gauge("fg_scoring_queue_depth", "Answers waiting to be scored.", registry=registry)
        self.queue_capacity = Gauge(
            "fg_scoring_queue_capacity", "Answers that may wait to be scored.", registry=registry
        )
        self.busy = Counter(
            "fg_scoring_busy_seconds_total",
            "Seconds that scoring processes worked, also on answers that were dropped. Its rate divided by "
            "`fg_scoring_workers` is the busy share; near 1, answers will soon be dropped.",
            registry=registry,
        )
        self.workers = Gauge("fg_scoring_workers", "Scoring processes.", registry=registry)
        self.share = Gauge(
            "fg_scoring_share", "Share of a profile's answers that is to be scored.", ("profile",), registry=registry
        )
        self.last_score = Gauge(
            "fg_last_score_timestamp_seconds",
            "Unix time of the last score; 0 before the first.",
            registry=registry,
        )
        self._false_alarms = Gauge(
            "fg_scorer_false_alarm_ratio",
            "Share of the segments that people left unmarked in held-out feedback and the reward model judges to be "
            "errors. Error ratios are corrected by it.",
            ("category",),
            registry=registry,
        )
        self._misses = Gauge(
            "fg_scorer_miss_ratio",
            "Share of the segments that people marked in held-out feedback and the reward model does not judge to be "
            "errors. Error ratios are corrected by it.",
            ("category",),
            registry=registry,
        )
        self._fitted_errors = Gauge(
            "fg_scorer_fitted_error_ratio",
            "Share of errors in the feedback that the reward models are calibrated on. Far from "
            "`fg_error_rate_model_mean`: the traffic is another; label answers in the order for the error rate.",
            ("category",),
            registry=registry,
        )
        self._out_of_domain = Gauge(
            "fg_scorer_out_of_domain_ratio",
            "Share of answers like the reward models' training data that count as unlike it nevertheless, by held-out "
            "feedback: the false alarms of `fg_out_of_domain_total`. 0 for reward models fitted on too little feedback "
            "to tell.",
            (),
            registry=registry,
        )
        self._agreement = Gauge(
            "fg_scorer_agreement_ratio",
            "Agreement of the reward models with people on held-out feedback: `accuracy`, `macro_f1` or "
            "`pairwise_accuracy`.",
            ("category", "statistic"),
            registry=registry,
        )

    def announce(self, policies: Iterable[ServedPolicy], scoring_share: Callable[[str], float]) -> None:
        """Create the series of served policies at zero; `scoring_share` gives the share that is scored by profile."""
        for served in policies:
            self.offered.labels(served.profile)
            self.scored.labels(served.profile, served.version_label)
            self.share.labels(served.profile).set(scoring_share(served.profile))
            for reason in DROP_REASONS:
                self.dropped.labels(served.profile, reason)

    def announce_scorer(
        self,
        points: Mapping[Category, OperatingPoint],
        agreement: Mapping[str, Any],
        typical: TypicalInputs | None = None,
    ) -> None:
        """Show how well the reward models agree with people; `agreement` is a report of rewards.evaluation.evaluate.

        `typical` is what their training data are like.
        """
        if typical is not None:
            self._out_of_domain.set(typical.false_alarm_rate)
        for category, point in points.items():
            if point.clean and point.errors:
                self._false_alarms.labels(category).set(point.false_alarm_rate)
                self._misses.labels(category).set(point.miss_rate)
                self._fitted_errors.labels(category).set(point.errors / (point.errors + point.clean))
            figures = agreement.get(category, {})
            for statistic in STATISTICS:
                if figures.get(statistic) is not None:
                    self._agreement.labels(category, statistic).set(figures[statistic])


class SinkMetrics:
    """added = delivered + lost + waiting, for each sink."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.delivered = Counter(
            "fg_sink_delivered_total",
            "Scored answers that a sink (`webhook`, `langfuse`) has taken.",
            ("sink",),
            registry=registry,
        )
        self.lost = Counter(
            "fg_sink_lost_total",
            "Scored answers that never reached a sink: `queue_full` (it is away or too slow: raise "
            "`FGCTL_SINK_QUEUE`), `refused` (the log says why), `failed` (they could not be written; the log says "
            "why), `stopped` (still waiting when the service ended).",
            ("sink", "reason"),
            registry=registry,
        )
        self.failures = Counter(
            "fg_sink_failures_total",
            "Requests to a sink that failed and are repeated. A rise: the sink is away; nothing is lost while its "
            "queue has room.",
            ("sink",),
            registry=registry,
        )
        self.queue_depth = Gauge(
            "fg_sink_queue_depth", "Scored answers that wait for a sink.", ("sink",), registry=registry
        )

    def announce(self, sink: str, depth: Callable[[], float]) -> None:
        """Create a sink's series at zero; `depth` tells how many answers wait."""
        self.delivered.labels(sink)
        self.failures.labels(sink)
        for reason in SINK_LOSSES:
            self.lost.labels(sink, reason)
        self.queue_depth.labels(sink).set_function(depth)
