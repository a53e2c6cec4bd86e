"""Metrics of the error rates that people see: estimated from the labels and scores in the feedback store."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from prometheus_client import CollectorRegistry, Gauge

_BY = ("profile", "category")


class ErrorRateMetrics:
    """Set from the report of service.feedback.quality; every replica that uses the store shows the same."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._calibrated = Gauge(
            "fg_error_rate_calibrated",
            "1 where enough answers are labelled for an estimate. 0: error ratios are the reward models' opinion alone "
            "and may be wrong by a factor of two or three on traffic unlike their training data; annotate answers in "
            "the order for the error rate.",
            _BY,
            registry=registry,
        )
        self._estimate = Gauge(
            "fg_error_rate_estimate",
            "Share of segments that people would mark, among the answers of the last 30 days; without an estimate, the "
            "share that the reward models judge to be errors.",
            _BY,
            registry=registry,
        )
        self._low = Gauge(
            "fg_error_rate_low",
            "Lower end of the estimate's 95 % interval; 0 without an estimate.",
            _BY,
            registry=registry,
        )
        self._high = Gauge(
            "fg_error_rate_high",
            "Upper end of the estimate's 95 % interval; 1 without an estimate.",
            _BY,
            registry=registry,
        )
        self._correction = Gauge(
            "fg_error_rate_correction",
            "The estimate less the share that the reward models in use judge to be errors; 0 without an estimate, and "
            "until other reward models have scored answers. Error budgets add it to error ratios.",
            _BY,
            registry=registry,
        )
        self._model_mean = Gauge(
            "fg_error_rate_model_mean",
            "Mean error probability of the reward models, among the answers of the last 30 days.",
            _BY,
            registry=registry,
        )
        self._label_shift = Gauge(
            "fg_error_rate_label_shift",
            "The error rate by the scores alone, if errors look as they do in the reward models' own feedback. Near 1, "
            "or outside the estimate's interval: they look different, and only labels tell.",
            _BY,
            registry=registry,
        )
        self._labels = Gauge(
            "fg_error_rate_labels",
            "Labelled answers, drawn at random, that the estimate rests on.",
            _BY,
            registry=registry,
        )
        self._newest = Gauge(
            "fg_error_rate_newest_label_timestamp_seconds",
            "Unix time of the newest label; 0 without any. Old: the traffic may have changed since; label new answers.",
            _BY,
            registry=registry,
        )

    def show(self, report: Mapping[str, Any]) -> None:
        """Show the profiles of a report of service.feedback.quality.report.error_rates."""
        gauges = (
            *(self._calibrated, self._estimate, self._low, self._high),
            *(self._correction, self._labels, self._newest, self._model_mean),
        )
        for gauge in (*gauges, self._label_shift):
            gauge.clear()
        for category, of_category in report.items():
            for profile, estimate in of_category["profiles"].items():
                for gauge, value in zip(gauges, _values(estimate), strict=True):
                    gauge.labels(profile, category).set(value)
                if estimate["label_shift"] is not None:
                    self._label_shift.labels(profile, category).set(estimate["label_shift"])


def _values(estimate: Mapping[str, Any]) -> tuple[float, ...]:
    """The values of the gauges, in their order."""
    newest = 0.0 if estimate["newest_label"] is None else datetime.fromisoformat(estimate["newest_label"]).timestamp()
    labels, mean = estimate["drawn"], estimate["raw"]
    if estimate["estimate"] is None:
        return 0, estimate["flagged"], 0, 1, 0, labels, newest, mean
    shown = (estimate[name] for name in ("estimate", "low", "high", "correction"))
    return 1, *shown, labels, newest, mean
