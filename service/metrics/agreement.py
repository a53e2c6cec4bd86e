"""Metrics of agreement: how far people who annotate agree with each other, and the reward models with them."""

from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Gauge


class AgreementMetrics:
    """Set from the report of service.feedback.agreement; what cannot be told has no series."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._alpha = Gauge(
            "fg_annotation_agreement_ratio",
            "Krippendorff's alpha of people on the segments that several of them judged.",
            ("category",),
            registry=registry,
        )
        self._span_f1 = Gauge(
            "fg_annotation_span_f1_ratio",
            "F1 of the words that two people marked with a label.",
            ("label",),
            registry=registry,
        )
        self._models = Gauge(
            "fg_annotation_model_agreement_ratio",
            "Krippendorff's alpha of the reward models with people, on annotated answers.",
            ("category",),
            registry=registry,
        )

    def announce(self, report: Mapping[str, Any]) -> None:
        """Show the agreement of a report."""
        people = report["people"]
        for gauge, figures, name in (
            (self._alpha, people["categories"], "alpha"),
            (self._span_f1, people["spans"], "f1"),
            (self._models, report["models"], "alpha"),
        ):
            gauge.clear()
            for label, one in figures.items():
                if one[name] is not None:
                    gauge.labels(label).set(one[name])
