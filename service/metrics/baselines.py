"""Metrics of each served version's offline evaluation, with which its online scores and inputs are compared."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Gauge

from policies.manifest import SERVED
from rewards.categories import Category
from service.domain.policy import ServedPolicy


class BaselineMetrics:
    """Constants of a version; they disappear when it is no longer served."""

    def __init__(self, registry: CollectorRegistry) -> None:
        policy = ("profile", "policy")
        by_category = (*policy, "category")
        self._error_ratio = Gauge(
            "fg_policy_baseline_error_ratio",
            "Share of segments judged to be errors in the version's offline evaluation: of answers sampled as the "
            "version is served, or of greedy answers if those were never evaluated.",
            by_category,
            registry=registry,
        )
        self._score_ratio = Gauge(
            "fg_baseline_score_ratio",
            "Share of segments by error probability in the version's offline evaluation.",
            (*by_category, "bin"),
            registry=registry,
        )
        self._input_ratio = Gauge(
            "fg_baseline_input_ratio",
            "Share of requests by input in the version's offline evaluation.",
            (*policy, "input", "bin"),
            registry=registry,
        )
        self._responses = Gauge(
            "fg_baseline_responses", "Responses in the version's offline evaluation.", policy, registry=registry
        )
        self._questions = Gauge(
            "fg_baseline_questions", "Questions in the version's offline evaluation.", policy, registry=registry
        )
        self._segments = Gauge(
            "fg_baseline_segments", "Segments in the version's offline evaluation.", by_category, registry=registry
        )

    def announce(self, policies: Iterable[ServedPolicy], categories: Collection[Category], rewards: str | None) -> None:
        """Set the baselines of served policies; `rewards` is the version of the reward models that judge now."""
        for policy in policies:
            self._set(policy, categories, rewards)

    def forget(self, profile: str, version: str) -> None:
        """Remove the baseline of a version."""
        for gauge in (
            self._error_ratio,
            self._score_ratio,
            self._input_ratio,
            self._responses,
            self._questions,
            self._segments,
        ):
            gauge.remove_by_labels({"profile": profile, "policy": version})

    def _set(self, policy: ServedPolicy, categories: Collection[Category], rewards: str | None) -> None:
        """Set the baseline of a version: its evaluation as it is served, or else its greedy one.

        An evaluation by other reward models, or with another decoding, is not a baseline.
        """
        labels = (policy.profile, policy.version_label)
        self.forget(*labels)
        scores = policy.manifest.scores if policy.manifest.scores.get("rewards") == rewards else {}
        served: Mapping[str, Any] = policy.manifest.scores.get(SERVED, {})
        if (served.get("rewards"), served.get("decoding")) != (rewards, policy.decoding.model_dump()):
            served = {}
        for category, ratio in (served or scores).get("error_ratio", {}).items():
            if category in categories:
                self._error_ratio.labels(*labels, category).set(ratio)
        for category, segments in served.get("segments", {}).items():
            if category in categories:
                self._segments.labels(*labels, category).set(segments)
        for category, shares in served.get("score_ratio", {}).items():
            for name, share in shares.items() if category in categories else ():
                self._score_ratio.labels(*labels, category, name).set(share)
        for kind, shares in served.get("input_ratio", {}).items():
            for name, share in shares.items():
                self._input_ratio.labels(*labels, kind, name).set(share)
        if served:
            self._responses.labels(*labels).set(served["responses"])
            self._questions.labels(*labels).set(served["questions"])
