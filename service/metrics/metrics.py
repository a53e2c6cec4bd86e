"""Every metric of the service, on a registry of its own. docs/metrics.md lists them."""

from collections.abc import Callable, Iterable, Mapping

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
from service.domain.policy import ServedPolicy
from service.domain.scored import ScoredCompletion
from service.metrics.agreement import AgreementMetrics
from service.metrics.baselines import BaselineMetrics
from service.metrics.canaries import CanaryMetrics
from service.metrics.error_rates import ErrorRateMetrics
from service.metrics.feedback import FeedbackMetrics
from service.metrics.quality import QualityMetrics
from service.metrics.scoring import ScoringMetrics
from service.metrics.traffic import TrafficMetrics
from service.metrics.versions import VersionMetrics


class Metrics:
    """One service's metrics."""

    def __init__(self, scoring_share: Callable[[str], float] = lambda profile: 1.0) -> None:
        """`scoring_share` gives the share of a profile's answers that is to be scored."""
        disable_created_metrics()  # no `_created` series: the time when a counter began tells nobody anything
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        self.traffic = TrafficMetrics(registry)
        self.quality = QualityMetrics(registry)
        self.baselines = BaselineMetrics(registry)
        self.canaries = CanaryMetrics(registry)
        self.scoring = ScoringMetrics(registry)
        self.versions = VersionMetrics(registry)
        self.feedback = FeedbackMetrics(registry)
        self.agreement = AgreementMetrics(registry)
        self.error_rates = ErrorRateMetrics(registry)
        self._scoring_share = scoring_share

    def announce_scorer(self, scorer: Scorer) -> None:
        """Set the reward models that judge and how well they agree with people. Call it before `announce`."""
        self.quality.rewards = scorer.version
        label_heads = scorer.feedback.labels
        self.quality.labels = label_heads.version if label_heads else None
        self.quality.error_labels = (
            {name: head.labels for name, head in label_heads.heads.items()} if label_heads else {}
        )
        self.scoring.announce_scorer(scorer.feedback.operating_points, scorer.feedback.fitted.agreement)

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

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """The metrics and their content type: OpenMetrics, which has exemplars, if `accept` asks for it."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type
