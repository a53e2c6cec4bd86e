"""Metrics of the feedback store: what reached it, and what did not."""

from prometheus_client import CollectorRegistry, Counter, Gauge

RECORDED = ("response", "scores")
LOSSES = ("queue_full", "failed", "stopped")
SUBMISSIONS = ("annotation", "quick", "comparison")


class FeedbackMetrics:
    """offered = recorded + lost + waiting, by kind."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.recorded = Counter(
            "fg_feedback_recorded_total",
            "Answers and scores that the feedback store has taken.",
            ("kind",),
            registry=registry,
        )
        self.lost = Counter(
            "fg_feedback_lost_total",
            "Answers and scores that never reached the feedback store.",
            ("kind", "reason"),
            registry=registry,
        )
        self.queue_depth = Gauge(
            "fg_feedback_queue_depth", "Answers and scores waiting for the feedback store.", registry=registry
        )
        self.submissions = Counter(
            "fg_feedback_submissions_total", "What people have submitted, each once.", ("kind",), registry=registry
        )

    def announce(self) -> None:
        """Create the series at zero, where a store is in use."""
        for kind in RECORDED:
            self.recorded.labels(kind)
            for reason in LOSSES:
                self.lost.labels(kind, reason)
        for kind in SUBMISSIONS:
            self.submissions.labels(kind)
