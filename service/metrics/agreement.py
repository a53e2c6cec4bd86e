"""Metrics of agreement: how well annotators agree with each other, and the reward models with them."""

from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Gauge


class AgreementMetrics:
    """Set from the report of service.feedback.agreement; a value that cannot be computed has no series."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._alpha = Gauge(
            "fg_annotation_agreement_ratio",
            "Krippendorff's alpha of annotators on the segments that several of them judged. A fall: annotators "
            "understand the category differently; talk about examples.",
            ("category",),
            registry=registry,
        )
        self._span_f1 = Gauge(
            "fg_annotation_span_f1_ratio",
            "F1 of the words that two annotators marked with a label.",
            ("label",),
            registry=registry,
        )
        self._models = Gauge(
            "fg_annotation_model_agreement_ratio",
            "Krippendorff's alpha of the reward models with annotators, on annotated answers. A fall: fit the models "
            "again on the new annotations.",
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
            for label, statistics in figures.items():
                if statistics[name] is not None:
                    gauge.labels(label).set(statistics[name])
