"""Metrics of the feedback store: what it has taken, and what never reached it."""

from prometheus_client import CollectorRegistry, Counter, Gauge

RECORDED = ("response", "scores")
LOSSES = ("queue_full", "failed", "stopped")
SUBMISSIONS = ("annotation", "quick", "comparison")


class FeedbackMetrics:
    """offered = recorded + lost + waiting, for each kind."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.recorded = Counter(
            "fg_feedback_recorded_total",
            "Answers (`response`) and `scores` that the feedback store has taken.",
            ("kind",),
            registry=registry,
        )
        self.lost = Counter(
            "fg_feedback_lost_total",
            "Answers and scores that never reached the feedback store: `queue_full` (the store fails or is too slow), "
            "`failed` (the log says why), `stopped` (still waiting when the service ended).",
            ("kind", "reason"),
            registry=registry,
        )
        self.queue_depth = Gauge(
            "fg_feedback_queue_depth",
            "Answers and scores waiting for the feedback store. A rise: read the log.",
            registry=registry,
        )
        self.submissions = Counter(
            "fg_feedback_submissions_total",
            "Feedback that people have submitted, each submission once: `annotation`, `quick` or `comparison`.",
            ("kind",),
            registry=registry,
        )

    def announce(self) -> None:
        """Create the series at zero; called if a store is configured."""
        for kind in RECORDED:
            self.recorded.labels(kind)
            for reason in LOSSES:
                self.lost.labels(kind, reason)
        for kind in SUBMISSIONS:
            self.submissions.labels(kind)
