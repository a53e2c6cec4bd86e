"""What the metrics are told of the policies that are served."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from rewards.categories import Category, CategorySpec
from service.domain.policy import ServedPolicy
from service.domain.roster import Roster
from service.metrics.metrics import Metrics


class PolicyMetrics:
    """Creates the series of policies when they become available, and keeps those of the roster up to date."""

    def __init__(self, metrics: Metrics, categories: Mapping[Category, CategorySpec]) -> None:
        """`categories` are those that responses are scored by."""
        self._metrics = metrics
        self._categories = categories

    def policies_available(self, policies: Iterable[ServedPolicy]) -> None:
        """Create their series at zero, and their baselines."""
        self._metrics.announce(policies, self._categories)

    def roster_changed(self, roster: Roster, promoted: Mapping[str, datetime]) -> None:
        """Show what is served and where it comes from, and begin to compare canaries with their incumbents."""
        self._metrics.canaries.announce(roster, self._categories)
        self._metrics.versions.show(roster, promoted)
        self._metrics.info.show_policies(roster)

    def policy_retired(self, policy: ServedPolicy) -> None:
        """Remove its baseline."""
        self._metrics.baselines.forget(policy.profile, policy.version_label)

    def weights_requested(self, result: str) -> None:
        """Count a request by weights."""
        self._metrics.traffic.weights_requests.labels(result).inc()

    def mixture_built(self) -> None:
        """Count a mixture that was computed."""
        self._metrics.traffic.mixtures_built.inc()
