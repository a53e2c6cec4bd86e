"""Metrics of what the reward models say of the answers, beside what they said of the version offline."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from policies.manifest import SERVED
from policies.sequential import ARMS
from rewards.categories import Category
from rewards.statistics.distribution_shift import INPUTS, SCORE_BINS, score_bin
from service.domain.finished import FinishedCompletion
from service.domain.policy import ServedPolicy
from service.domain.roster import Roster
from service.domain.scored import CanaryTrial, ScoredCompletion
from service.metrics import buckets


class QualityMetrics:
    """Counted for every scored answer. Counters only, so that replicas add up and a restart loses nothing seen."""

    def __init__(self, registry: CollectorRegistry) -> None:
        policy = ("profile", "policy")
        judged = (*policy, "category")
        self.segments_scored = Counter(
            "fg_segments_scored_total", "Segments judged by the reward models.", judged, registry=registry
        )
        self.segment_errors = Counter(
            "fg_segment_errors_total", "Segments judged to be errors.", judged, registry=registry
        )
        self.segment_labels = Counter(
            "fg_segment_labels_total",
            "Segments judged to be errors, by their most likely annotation label.",
            (*judged, "label"),
            registry=registry,
        )
        self.score_bins = Counter(
            "fg_score_bin_total",
            "Segments by error probability; a bin is named by its lower edge.",
            (*judged, "bin"),
            registry=registry,
        )
        self.reward = Histogram(
            "fg_reward",
            "Reward of a segment, from -1 to 1.",
            ("profile", "category"),
            buckets=buckets.REWARD,
            registry=registry,
        )
        self.words = Histogram(
            "fg_answer_words", "Words of a scored answer.", policy, buckets=buckets.WORDS, registry=registry
        )
        self.repetition = Histogram(
            "fg_answer_repetition",
            "Share of a scored answer's four-word sequences that it had said before.",
            policy,
            buckets=buckets.REPETITION,
            registry=registry,
        )
        self.declined = Counter(
            "fg_declined_answers_total", "Scored answers that decline to answer.", policy, registry=registry
        )
        self.out_of_domain = Counter(
            "fg_out_of_domain_total",
            "Scored responses unlike what the reward models were fitted on.",
            policy,
            registry=registry,
        )
        self.inputs = Counter(
            "fg_input_bin_total",
            "Scored requests, by what was asked and shown.",
            (*policy, "input", "bin"),
            registry=registry,
        )
        self.baseline_error_ratio = Gauge(
            "fg_policy_baseline_error_ratio",
            "Share of segments judged errors in the policy's offline evaluation.",
            judged,
            registry=registry,
        )
        self.baseline_scores = Gauge(
            "fg_baseline_score_ratio",
            "Share of segments by error probability in the policy's offline evaluation.",
            (*judged, "bin"),
            registry=registry,
        )
        self.baseline_inputs = Gauge(
            "fg_baseline_input_ratio",
            "Share of requests by what was asked and shown in the policy's offline evaluation.",
            (*policy, "input", "bin"),
            registry=registry,
        )
        self.baseline_responses = Gauge(
            "fg_baseline_responses", "Responses of the policy's offline evaluation.", policy, registry=registry
        )
        self.baseline_questions = Gauge(
            "fg_baseline_questions", "Questions of the policy's offline evaluation.", policy, registry=registry
        )
        self.baseline_segments = Gauge(
            "fg_baseline_segments", "Segments of the policy's offline evaluation.", judged, registry=registry
        )
        self._trial = _TrialMetrics(registry)
        self.rewards: str | None = None
        """Version of the reward models that judge; baselines by others are left out."""
        self.labels: str | None = None
        """Version of what names errors, where there is one."""
        self.named: Mapping[Category, tuple[str, ...]] = {}
        """The labels that errors are given, of the categories whose labels can be told."""

    def announce(self, policies: Iterable[ServedPolicy], categories: Collection[Category]) -> None:
        """Create the series of served policies at zero, so that the first error is an increase, and their baselines.

        `categories` are those that responses will be judged by.
        """
        for served in policies:
            labels = (served.profile, served.version_label)
            for metric in (self.out_of_domain, self.declined, self.words, self.repetition):
                metric.labels(*labels)
            for category in categories:
                self.segments_scored.labels(*labels, category)
                self.segment_errors.labels(*labels, category)
                self.reward.labels(served.profile, category)
                for name in SCORE_BINS:
                    self.score_bins.labels(*labels, category, name)
                for label in self.named.get(category, ()):
                    self.segment_labels.labels(*labels, category, label)
            for kind, names in INPUTS.items():
                for name in names:
                    self.inputs.labels(*labels, kind, name)
            self._set_baseline(served, categories)

    def announce_trials(self, roster: Roster, categories: Collection[Category]) -> None:
        """Begin to compare each canary with the version that it may replace; forget those that run no more."""
        pairs = {name: (canary.policy.version, roster.served[name].version) for name, canary in roster.canaries.items()}
        self._trial.announce(pairs, categories)

    def count(self, finished: FinishedCompletion, scored: ScoredCompletion) -> None:
        """Count one answer's scores and what it is like."""
        labels = (finished.profile, finished.version_label)
        scores, traits = scored.scores, scored.traits
        if not scores.in_domain:
            self.out_of_domain.labels(*labels).inc()
        if traits.declined:
            self.declined.labels(*labels).inc()
        self.words.labels(*labels).observe(traits.words)
        self.repetition.labels(*labels).observe(traits.repetition)
        for kind, name in traits.inputs.items():
            self.inputs.labels(*labels, kind, name).inc()
        for category, category_scores in scores.categories.items():
            self.segments_scored.labels(*labels, category).inc(len(category_scores.segments))
            self.segment_errors.labels(*labels, category).inc(
                sum(segment.error for segment in category_scores.segments)
            )
            for segment in category_scores.segments:
                # An exemplar leads from a rate to an answer behind it.
                name = score_bin(segment.error_probability)
                self.score_bins.labels(*labels, category, name).inc(exemplar={"response": finished.id})
                if segment.label is not None:
                    self.segment_labels.labels(*labels, category, segment.label).inc()
            for reward in category_scores.rewards:
                self.reward.labels(finished.profile, category).observe(reward)
        if finished.trial is not None:
            self._trial.count(finished.profile, finished.trial, scored)

    def forget_baseline(self, profile: str, version: str) -> None:
        """Show no baseline of a version any more."""
        for gauge in (
            self.baseline_error_ratio,
            self.baseline_scores,
            self.baseline_inputs,
            self.baseline_responses,
            self.baseline_questions,
            self.baseline_segments,
        ):
            gauge.remove_by_labels({"profile": profile, "policy": version})

    def _set_baseline(self, policy: ServedPolicy, categories: Collection[Category]) -> None:
        """What an evaluation said of a version: as it is served where that is known, else greedy.

        An evaluation by other reward models, or by another decoding, is no baseline.
        """
        labels = (policy.profile, policy.version_label)
        self.forget_baseline(*labels)
        scores = policy.manifest.scores if policy.manifest.scores.get("rewards") == self.rewards else {}
        served: Mapping[str, Any] = policy.manifest.scores.get(SERVED, {})
        if (served.get("rewards"), served.get("decoding")) != (self.rewards, policy.decoding.model_dump()):
            served = {}
        for category, ratio in (served or scores).get("error_ratio", {}).items():
            if category in categories:
                self.baseline_error_ratio.labels(*labels, category).set(ratio)
        for category, segments in served.get("segments", {}).items():
            if category in categories:
                self.baseline_segments.labels(*labels, category).set(segments)
        for category, shares in served.get("score_ratio", {}).items():
            for name, share in shares.items() if category in categories else ():
                self.baseline_scores.labels(*labels, category, name).set(share)
        for kind, shares in served.get("input_ratio", {}).items():
            for name, share in shares.items():
                self.baseline_inputs.labels(*labels, kind, name).set(share)
        if served:
            self.baseline_responses.labels(*labels).set(served["responses"])
            self.baseline_questions.labels(*labels).set(served["questions"])


class _TrialMetrics:
    """A canary and its incumbent, side by side: what the sequential test of policies.sequential needs."""

    def __init__(self, registry: CollectorRegistry) -> None:
        arm = ("profile", "canary", "arm")
        self._responses = Counter(
            "fg_canary_responses_total",
            "Scored responses while a canary runs, by arm (canary or incumbent).",
            arm,
            registry=registry,
        )
        self._sums = Counter(
            "fg_canary_error_probability_total",
            "Sum over these responses of the mean error probability of their segments.",
            (*arm, "category"),
            registry=registry,
        )
        self._squares = Counter(
            "fg_canary_error_probability_squares_total", "Sum of its squares.", (*arm, "category"), registry=registry
        )

        self._running: dict[str, tuple[str, str]] = {}

    def announce(self, pairs: Mapping[str, tuple[str, str]], categories: Collection[Category]) -> None:
        """`pairs` are the canary and the incumbent of each profile. With either, the evidence begins anew."""
        for profile, (canary, incumbent) in list(self._running.items()):
            if pairs.get(profile) != (canary, incumbent):
                del self._running[profile]
                for counter in (self._responses, self._sums, self._squares):
                    counter.remove_by_labels({"profile": profile, "canary": canary})
        for profile, (canary, incumbent) in pairs.items():
            self._running[profile] = canary, incumbent
            for arm in ARMS:
                self._responses.labels(profile, canary, arm)
                for category in categories:
                    self._sums.labels(profile, canary, arm, category)
                    self._squares.labels(profile, canary, arm, category)

    def count(self, profile: str, trial: CanaryTrial, scored: ScoredCompletion) -> None:
        canary, arm = trial.canary, trial.arm
        if self._running.get(profile) != (canary, trial.incumbent):
            return  # the trial ended while this answer waited to be scored
        categories = scored.scores.categories
        if not all(one.segments for one in categories.values()):
            return  # an empty answer has no mean, and every category must count the same responses
        self._responses.labels(profile, canary, arm).inc()
        for category, one in categories.items():
            mean = sum(segment.error_probability for segment in one.segments) / len(one.segments)
            self._sums.labels(profile, canary, arm, category).inc(mean)
            self._squares.labels(profile, canary, arm, category).inc(mean * mean)
