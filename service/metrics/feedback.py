"""Metrics of the feedback store: what it has taken, what never reached it, and what people say in it."""

from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge

RECORDED = ("response", "scores")
LOSSES = ("queue_full", "failed", "stopped")
SUBMISSIONS = ("annotation", "judgement", "quick", "comparison")


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
            "Feedback that people have submitted, each submission once: `annotation`, `judgement` (of single "
            "sentences), `quick` or `comparison`.",
            ("kind",),
            registry=registry,
        )

        self._left = Gauge(
            "fg_feedback_left",
            "Answers in the store that can be annotated and that nobody has annotated. A rise: more are served than "
            "annotated; let people begin with the most uncertain.",
            registry=registry,
        )
        self._skips = Gauge(
            "fg_feedback_skips",
            "Answers (`annotation`) and pairs (`comparison`) that people skipped, by reason. Many `broken_passages` or "
            "`bad_question`: look at what the application sends; many `cannot_judge`: explain the task.",
            ("kind", "reason"),
            registry=registry,
        )
        self._thumbs = Gauge(
            "fg_feedback_thumbs",
            "Thumbs `up` and `down` on the answers of a version, the latest of each caller on each answer.",
            ("profile", "policy", "thumb"),
            registry=registry,
        )
        self._comparisons = Gauge(
            "fg_feedback_comparisons",
            "Comparisons by their result for a version: `win`, `loss` or `tie` (equally good, or both bad). The "
            "latest of each person and pair.",
            ("profile", "policy", "result"),
            registry=registry,
        )

    def show(self, figures: Mapping[str, Any]) -> None:
        """Show service.feedback.figures.FeedbackFigures as JSON; every replica that uses the store shows the same."""
        self._left.set(figures["left"])
        for gauge in (self._skips, self._thumbs, self._comparisons):
            gauge.clear()
        for kind, reasons in figures["skips"].items():
            for reason, number in reasons.items():
                self._skips.labels(kind, reason).set(number)
        for version in figures["versions"]:
            labels = version["profile"], version["policy"]
            for thumb, number in (("up", version["thumbs_up"]), ("down", version["thumbs_down"])):
                self._thumbs.labels(*labels, thumb).set(number)
            for result, number in (("win", version["wins"]), ("loss", version["losses"]), ("tie", version["ties"])):
                self._comparisons.labels(*labels, result).set(number)

    def announce(self) -> None:
        """Create the series at zero; called if a store is configured."""
        for kind in RECORDED:
            self.recorded.labels(kind)
            for reason in LOSSES:
                self.lost.labels(kind, reason)
        for kind in SUBMISSIONS:
            self.submissions.labels(kind)
