"""The metrics that the service exports, read from their declarations in service/metrics."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from service.metrics.agreement import AgreementMetrics
from service.metrics.baselines import BaselineMetrics
from service.metrics.canaries import CanaryMetrics
from service.metrics.engine import EngineMetrics
from service.metrics.error_rates import ErrorRateMetrics
from service.metrics.feedback import FeedbackMetrics
from service.metrics.quality import QualityMetrics
from service.metrics.scoring import ScoringMetrics, SinkMetrics
from service.metrics.traffic import TrafficMetrics
from service.metrics.versions import InfoMetrics, VersionMetrics

SECTIONS: Mapping[str, tuple[Callable[[CollectorRegistry], object], ...]] = {
    "traffic": (TrafficMetrics,),
    "quality": (QualityMetrics,),
    "baselines": (BaselineMetrics,),
    "scoring": (ScoringMetrics, SinkMetrics),
    "versions": (VersionMetrics, CanaryMetrics, InfoMetrics),
    "engine": (EngineMetrics,),
    "feedback": (FeedbackMetrics, AgreementMetrics, ErrorRateMetrics),
}
"""What declares the metrics of each table in docs/metrics.md."""
_SAMPLES = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


@dataclass(frozen=True)
class ServiceMetric:
    """One metric of the service."""

    name: str
    """As exported, so that of a counter ends in `_total`."""
    type: str
    labels: tuple[str, ...]
    help: str

    def series(self) -> dict[str, set[str]]:
        """The names of its series, each with its labels."""
        buckets = {"_bucket": {"le"}}
        return {f"{self.name}{suffix}": {*self.labels, *buckets.get(suffix, ())} for suffix in _SAMPLES[self.type]}


def service_metrics() -> dict[str, list[ServiceMetric]]:
    """Every metric of the service, by section, in the order of declaration."""
    return {name: _declared(declarations) for name, declarations in SECTIONS.items()}


def _declared(declarations: tuple[Callable[[CollectorRegistry], object], ...]) -> list[ServiceMetric]:
    registry = CollectorRegistry()
    for declare in declarations:
        declare(registry)
    return [_described(metric) for metric in registry._collector_to_names if isinstance(metric, MetricWrapperBase)]


def _described(metric: MetricWrapperBase) -> ServiceMetric:
    family = next(iter(metric.describe()))
    suffix = "_total" if family.type == "counter" else ""
    return ServiceMetric(f"{family.name}{suffix}", family.type, tuple(metric._labelnames), family.documentation)
