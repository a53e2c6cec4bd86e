"""Every metric of the service, on a registry of its own. docs/metrics.md says what each is for."""

from collections.abc import Collection, Iterable

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder

from rewards.categories import Category
from rewards.scorer import Scorer
from service.domain.finished import FinishedCompletion
from service.domain.policy import ServedPolicy
from service.domain.scored import ScoredCompletion
from service.domain.scoring_share import ScoringShares
from service.metrics.agreement import AgreementMetrics
from service.metrics.feedback import FeedbackMetrics
from service.metrics.quality import QualityMetrics
from service.metrics.scoring import ScoringMetrics
from service.metrics.traffic import TrafficMetrics
from service.metrics.versions import VersionMetrics


class Metrics:
    """One service's metrics."""

    def __init__(self, shares: ScoringShares | None = None) -> None:
        """`shares` says which share of a profile's answers is scored."""
        disable_created_metrics()  # a series of its own for when each counter began would say nothing here
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        self.traffic = TrafficMetrics(registry)
        self.quality = QualityMetrics(registry)
        self.scoring = ScoringMetrics(registry)
        self.versions = VersionMetrics(registry)
        self.feedback = FeedbackMetrics(registry)
        self.agreement = AgreementMetrics(registry)
        self._shares = shares or ScoringShares()

    def announce_scorer(self, scorer: Scorer) -> None:
        """Say what judges, and how well it agrees with people. Versions must be announced after it."""
        self.quality.rewards = scorer.version
        labels = scorer.feedback.labels
        self.quality.labels = labels.version if labels else None
        self.quality.named = {name: head.labels for name, head in labels.heads.items()} if labels else {}
        self.scoring.announce_scorer(scorer.feedback.operating_points, scorer.feedback.fitted.agreement)

    def announce(self, policies: Iterable[ServedPolicy], categories: Collection[Category]) -> None:
        """Create the series of served policies at zero, and their baselines.

        `categories` are those that responses will be judged by.
        """
        policies = tuple(policies)
        self.traffic.announce(policies, categories)
        self.quality.announce(policies, categories)
        self.scoring.announce(policies, self._shares)

    def count_scores(self, finished: FinishedCompletion, scored: ScoredCompletion) -> None:
        """Count that an answer was scored, and its scores."""
        self.scoring.scored.labels(finished.profile, finished.version_label).inc()
        self.quality.count(finished, scored)

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """The metrics and their content type: OpenMetrics, which has exemplars, where `accept` asks for it."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type
