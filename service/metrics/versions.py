"""Metrics of the served versions: promotions, weights, canaries, refusals; and of the engine."""

from collections.abc import Mapping
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge

from service.domain.roster import Roster


class VersionMetrics:
    """Gauges of the present state; those of a version disappear when it is no longer served."""

    def __init__(self, registry: CollectorRegistry) -> None:
        policy = ("profile", "policy")
        self._refused = Gauge(
            "fg_policy_refused",
            "1 while a profile's newest version, or its canary, is refused, to be served or to be mixed; "
            "`GET /profiles` says why.",
            ("profile",),
            registry=registry,
        )
        self._broken = Gauge(
            "fg_policy_broken",
            "1 while no version of a profile can be served; `GET /readyz` says why.",
            ("profile",),
            registry=registry,
        )
        self._promoted = Gauge(
            "fg_policy_promoted_timestamp_seconds",
            "Unix time at which the served version was promoted.",
            policy,
            registry=registry,
        )
        self._weight = Gauge(
            "fg_policy_weight", "Weight of a category in a served version.", (*policy, "category"), registry=registry
        )
        self._canary_share = Gauge(
            "fg_canary_share", "Share of its profile's callers that a canary gets.", policy, registry=registry
        )
        self.engine_up = Gauge(
            "fg_engine_up", "1 while the engine works and holds the policies, else 0.", registry=registry
        )
        self.engine_restarts = Counter(
            "fg_engine_restarts_total",
            "Starts of an engine after one had died. Any increase: read the log for why.",
            registry=registry,
        )

    def show(self, roster: Roster, promoted: Mapping[str, datetime]) -> None:
        """Show what is served now; `promoted` is the time at which each profile's current version was promoted."""
        for gauge in (self._promoted, self._weight, self._canary_share, self._refused, self._broken):
            gauge.clear()
        for profile in {*roster.served, *roster.broken, *roster.refused}:
            self._refused.labels(profile).set(profile in roster.refused)
            self._broken.labels(profile).set(profile in roster.broken)
        for profile, canary in roster.canaries.items():
            self._canary_share.labels(profile, canary.policy.version_label).set(canary.share)
        for served in roster.policies():
            for category, weight in served.weights.as_dict().items():
                self._weight.labels(served.profile, served.version_label, category).set(weight)
        for profile, when in promoted.items():
            if current := roster.served.get(profile):
                self._promoted.labels(profile, current.version_label).set(when.timestamp())
