"""Metrics of scoring itself: whether it keeps up, what it leaves out and why, and how far it is to be trusted."""

from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from rewards.categories import Category
from rewards.statistics.calibration import OperatingPoint
from service.domain.policy import ServedPolicy
from service.domain.scoring_share import ScoringShares
from service.metrics import buckets

DROP_REASONS = ("queue_full", "timeout", "failed", "worker_died", "no_passages", "sampled_out")
STATISTICS = ("accuracy", "macro_f1", "pairwise_accuracy")


class ScoringMetrics:
    """offered = scored + dropped + waiting or being scored, by profile."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.offered = Counter(
            "fg_scoring_offered_total",
            "Finished responses that scoring was offered.",
            ("profile",),
            registry=registry,
        )
        self.scored = Counter(
            "fg_responses_scored_total", "Responses that were scored.", ("profile", "policy"), registry=registry
        )
        self.dropped = Counter(
            "fg_scoring_dropped_total", "Responses that were never scored.", ("profile", "reason"), registry=registry
        )
        self.lag = Histogram(
            "fg_scoring_lag_seconds",
            "Seconds from last token to scores.",
            buckets=buckets.SCORING_LAG_SECONDS,
            registry=registry,
        )
        self.queue_depth = Gauge("fg_scoring_queue_depth", "Responses waiting to be scored.", registry=registry)
        self.queue_capacity = Gauge(
            "fg_scoring_queue_capacity", "Responses that may wait to be scored.", registry=registry
        )
        self.busy = Counter(
            "fg_scoring_busy_seconds_total", "Seconds in which scoring processes worked.", registry=registry
        )
        self.workers = Gauge("fg_scoring_workers", "Scoring processes.", registry=registry)
        self.share = Gauge(
            "fg_scoring_share", "Share of a profile's answers that is to be scored.", ("profile",), registry=registry
        )
        self.last_score = Gauge(
            "fg_last_score_timestamp_seconds", "When a response was last scored (Unix time).", registry=registry
        )
        self._false_alarms = Gauge(
            "fg_scorer_false_alarm_ratio",
            "Share of segments that people left unmarked and the reward model judges errors.",
            ("category",),
            registry=registry,
        )
        self._misses = Gauge(
            "fg_scorer_miss_ratio",
            "Share of segments that people marked and the reward model does not judge errors.",
            ("category",),
            registry=registry,
        )
        self._agreement = Gauge(
            "fg_scorer_agreement_ratio",
            "Agreement of the reward models with people on held-out feedback.",
            ("category", "statistic"),
            registry=registry,
        )

    def announce(self, policies: Iterable[ServedPolicy], shares: ScoringShares) -> None:
        """Create the series of served policies at zero."""
        for served in policies:
            self.offered.labels(served.profile)
            self.scored.labels(served.profile, served.version_label)
            self.share.labels(served.profile).set(shares.of(served.profile))
            for reason in DROP_REASONS:
                self.dropped.labels(served.profile, reason)

    def announce_scorer(self, points: Mapping[Category, OperatingPoint], agreement: Mapping[str, Any]) -> None:
        """Say how well the reward models agree with people; `agreement` is the report of rewards.evaluation.evaluate."""
        for category, point in points.items():
            if point.clean and point.errors:
                self._false_alarms.labels(category).set(point.false_alarm_rate)
                self._misses.labels(category).set(point.miss_rate)
            figures = agreement.get(category, {})
            for statistic in STATISTICS:
                if statistic in figures:
                    self._agreement.labels(category, statistic).set(figures[statistic])
