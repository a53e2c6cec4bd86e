"""Every metric of the service, on a registry of its own. docs/metrics.md lists them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder

from rewards.categories import Category, CategorySpec
from rewards.scorer import Scorer
from service.domain.finished import FinishedCompletion
from service.domain.judged import ExternalAnswer
from service.domain.policy import ServedPolicy
from service.domain.scored import ScoredCompletion
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

OTHER = "other"
"""Labels of further systems whose answers are counted, so that callers cannot create labels without end."""


class Metrics:
    """One service's metrics."""

    def __init__(self, scoring_share: Callable[[str], float] = lambda profile: 1.0, external_labels: int = 50) -> None:
        """`scoring_share` gives the share of a profile's answers that is to be scored.

        `external_labels` is how many systems, by profile and version, get series of their own for answers that this
        service did not give.
        """
        disable_created_metrics()  # no `_created` series: the time when a counter began tells nobody anything
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        self.info = InfoMetrics(registry)
        self.traffic = TrafficMetrics(registry)
        self.quality = QualityMetrics(registry)
        self.baselines = BaselineMetrics(registry)
        self.canaries = CanaryMetrics(registry)
        self.scoring = ScoringMetrics(registry)
        self.versions = VersionMetrics(registry)
        self.engine = EngineMetrics(registry)
        self.feedback = FeedbackMetrics(registry)
        self.sinks = SinkMetrics(registry)
        self.agreement = AgreementMetrics(registry)
        self.error_rates = ErrorRateMetrics(registry)
        self._scoring_share = scoring_share
        self._most_external = external_labels
        self._external: set[tuple[str, str]] = set()

    def announce_scorer(self, scorer: Scorer) -> None:
        """Set the reward models that judge and how well they agree with people. Call it before `announce`."""
        self.quality.rewards = scorer.version
        label_heads = scorer.feedback.labels
        self.quality.labels = label_heads.version if label_heads else None
        self.info.show_rewards(self.quality.rewards, self.quality.labels)
        self.quality.error_labels = (
            {name: head.labels for name, head in label_heads.heads.items()} if label_heads else {}
        )
        fitted = scorer.feedback.fitted
        self.quality.error_rates_at_home = scorer.feedback.error_rates_at_home
        self.scoring.announce_scorer(scorer.feedback.operating_points, fitted.agreement, fitted.input_ranges.typical)

    def announce(self, policies: Iterable[ServedPolicy], categories: Mapping[Category, CategorySpec]) -> None:
        """Create the series of served policies at zero, and set their baselines.

        `categories` are those that responses will be judged by.
        """
        policies = tuple(policies)
        self.traffic.announce(policies, categories)
        self.quality.announce(policies, categories)
        self.baselines.announce(policies, categories, self.quality.rewards)
        self.scoring.announce(policies, self._scoring_share)

    def count_scores(self, finished: FinishedCompletion, scored: ScoredCompletion) -> None:
        """Count a scored answer, its scores, and its part in a canary's test."""
        self.scoring.scored.labels(finished.profile, finished.version_label).inc()
        self.quality.count(finished, scored)
        # Both arms count the answers that every category judges.
        if finished.trial is not None and finished.request.passages:
            self.canaries.count(finished.profile, finished.trial, scored)

    def count_external(self, answer: ExternalAnswer, scored: ScoredCompletion) -> None:
        """Count an answer of another system, and its scores; as OTHER once there are too many such systems."""
        if (answer.profile, answer.version_label) not in self._external and len(self._external) >= self._most_external:
            answer = replace(answer, profile=OTHER, version_label=OTHER)
        labels = (answer.profile, answer.version_label)
        if labels not in self._external:
            self._external.add(labels)
            self.quality.announce_version(*labels)
        self.scoring.offered.labels(answer.profile).inc()
        self.scoring.scored.labels(*labels).inc()
        self.quality.count(answer, scored)

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """The metrics and their content type: OpenMetrics, which has exemplars, if `accept` asks for it."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type
