"""Metrics of scored answers: how often they err, what they are like, and what was asked."""

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram

from rewards.categories import Category, CategorySpec
from rewards.scores import ScoredResponse
from rewards.statistics.distribution_shift import INPUTS, SCORE_BINS, score_bin
from service.domain.judged import Judged
from service.domain.policy import ServedPolicy
from service.domain.scored import ScoredCompletion
from service.metrics import buckets


class QualityMetrics:
    """Counted for every scored answer. Counters only, so replicas add up and a restart loses nothing that was seen."""

    def __init__(self, registry: CollectorRegistry) -> None:
        policy = ("profile", "policy")
        by_category = (*policy, "category")
        self.segments_scored = Counter(
            "fg_segments_scored_total", "Segments judged by the reward models.", by_category, registry=registry
        )
        self.segment_errors = Counter(
            "fg_segment_errors_total",
            "Segments judged to be errors: the error probability reached the category's threshold. Divided by "
            "`fg_segments_scored_total` it is the error ratio; the runbook says what to do when that rises.",
            by_category,
            registry=registry,
        )
        self.segment_labels = Counter(
            "fg_segment_labels_total",
            "Segments judged to be errors, by their most likely annotation label; only in categories whose labels can "
            "be predicted. A label that grows says what to look for in the worst answers.",
            (*by_category, "label"),
            registry=registry,
        )
        self.score_bins = Counter(
            "fg_score_bin_total",
            "Segments by error probability; a bin is named by its lower edge, `0.0` to `0.9`. In OpenMetrics it has "
            'exemplars `response="…"`: the id for `GET /responses/{id}`.',
            (*by_category, "bin"),
            registry=registry,
        )
        self.reward = Histogram(
            "fg_reward",
            "Reward of a segment, from -1 to 1. It has no `_sum`, which would not be monotonic.",
            ("profile", "category"),
            buckets=buckets.REWARD,
            registry=registry,
        )
        self.words = Histogram(
            "fg_answer_words",
            "Words of a scored answer. A rise: the rewards favor length, or the questions have changed.",
            policy,
            buckets=buckets.WORDS,
            registry=registry,
        )
        self.repetition = Histogram(
            "fg_answer_repetition",
            "Share of a scored answer's four-word sequences that occurred in it before. A rise: answers loop; roll "
            "back.",
            policy,
            buckets=buckets.REPETITION,
            registry=registry,
        )
        self.copied = Histogram(
            "fg_answer_copied",
            "Share of a scored answer's words in runs of eight or more that stand in a passage. A rise: answers are "
            "copied rather than written, which reward models may pay; compare with the version's evaluation.",
            policy,
            buckets=buckets.COPIED,
            registry=registry,
        )
        self.declined = Counter(
            "fg_declined_answers_total",
            "Scored answers that decline to answer. A rise: look at the passages that come with the questions.",
            policy,
            registry=registry,
        )
        self.out_of_domain = Counter(
            "fg_out_of_domain_total",
            "Scored answers unlike the reward models' training data; `notes` of `GET /responses/{id}` says how they "
            "differ. A share far above `fg_scorer_out_of_domain_ratio`: error ratios are not reliable; label answers "
            "in the order for the error rate.",
            policy,
            registry=registry,
        )
        self.unjudged = Counter(
            "fg_answers_unjudged_total",
            "Scored answers that a category did not judge, by what they lack: `question` or `passages`. Their share of "
            "the answers says how much of the traffic the category's error ratio leaves out.",
            (*by_category, "lacking"),
            registry=registry,
        )
        self.inputs = Counter(
            "fg_input_bin_total",
            "Scored requests, by `question_words`, `passages` (how many), `passage_words` and the question's "
            "`language`. Different from the baseline: the traffic has changed, and perhaps the error ratios with it.",
            (*policy, "input", "bin"),
            registry=registry,
        )
        self.rewards: str | None = None
        """Version of the reward models that judge."""
        self.labels: str | None = None
        """Version of the heads that predict error labels; None without any."""
        self.error_rates_at_home: Mapping[Category, float] = {}
        """The share of errors in the feedback that the reward models are calibrated on."""
        self._categories: Mapping[Category, CategorySpec] = {}
        self.error_labels: Mapping[Category, tuple[str, ...]] = {}
        """The labels that errors can get, of the categories whose labels can be predicted."""

    def announce(self, policies: Iterable[ServedPolicy], categories: Mapping[Category, CategorySpec]) -> None:
        """Create the series of served policies at zero, so that the first error is an increase.

        `categories` are those that responses will be judged by.
        """
        self._categories = categories
        for served in policies:
            self.announce_version(served.profile, served.version_label)

    def announce_version(self, profile: str, version: str) -> None:
        """Create the series of one version at zero."""
        labels = (profile, version)
        for metric in (self.out_of_domain, self.declined, self.words, self.repetition, self.copied):
            metric.labels(*labels)
        for category, spec in self._categories.items():
            if spec.needs != "nothing":
                self.unjudged.labels(*labels, category, spec.needs)
            self.segments_scored.labels(*labels, category)
            self.segment_errors.labels(*labels, category)
            self.reward.labels(profile, category)
            for name in SCORE_BINS:
                self.score_bins.labels(*labels, category, name)
            for label in self.error_labels.get(category, ()):
                self.segment_labels.labels(*labels, category, label)
        for kind, names in INPUTS.items():
            for name in names:
                self.inputs.labels(*labels, kind, name)

    def count(self, judged: Judged, scored: ScoredCompletion) -> None:
        """Count one answer's scores, traits and inputs."""
        labels = (judged.profile, judged.version_label)
        scores = scored.scores
        self._count_categories(judged, scores)
        for category in self._categories.keys() - scores.categories.keys():
            self.unjudged.labels(*labels, category, self._categories[category].needs).inc()
        if not judged.request.passages:
            return  # its length, its inputs and the like would not be those of the questions that policies answer
        traits = scored.traits
        if not scores.in_domain:
            self.out_of_domain.labels(*labels).inc()
        if traits.declined:
            self.declined.labels(*labels).inc()
        self.words.labels(*labels).observe(traits.words)
        self.repetition.labels(*labels).observe(traits.repetition)
        self.copied.labels(*labels).observe(traits.copied.share)
        for kind, name in traits.inputs.items():
            self.inputs.labels(*labels, kind, name).inc()

    def _count_categories(self, judged: Judged, scores: ScoredResponse) -> None:
        labels = (judged.profile, judged.version_label)
        for category, of_category in scores.categories.items():
            self.segments_scored.labels(*labels, category).inc(len(of_category.segments))
            self.segment_errors.labels(*labels, category).inc(sum(segment.error for segment in of_category.segments))
            for segment in of_category.segments:
                # The exemplar leads from an error ratio to an answer behind it.
                name = score_bin(segment.error_probability)
                self.score_bins.labels(*labels, category, name).inc(exemplar={"response": judged.id})
                if segment.label is not None:
                    self.segment_labels.labels(*labels, category, segment.label).inc()
            for reward in of_category.rewards:
                self.reward.labels(judged.profile, category).observe(reward)
