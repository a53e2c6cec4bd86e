"""Metrics of canaries: the evidence on a canary and its incumbent that policies.promotion.sequential needs."""

from collections.abc import Collection

from prometheus_client import CollectorRegistry, Counter

from policies.promotion.sequential import ARMS
from rewards.categories import Category
from service.domain.roster import Roster
from service.domain.scored import CanaryTrial, ScoredCompletion


class CanaryMetrics:
    """Counted for scored answers of profiles with a canary; begun anew with another canary or incumbent."""

    def __init__(self, registry: CollectorRegistry) -> None:
        arm = ("profile", "canary", "arm")
        self._responses = Counter(
            "fg_canary_responses_total",
            "Answers scored while a canary runs, by arm: `canary` or `incumbent`. Answers asked for by version and "
            "those chosen by `best_of` are not counted.",
            arm,
            registry=registry,
        )
        self._sums = Counter(
            "fg_canary_error_probability_total",
            "Sum over these answers of the mean error probability of their segments, which `fgctl policies canary` "
            "decides by.",
            (*arm, "category"),
            registry=registry,
        )
        self._squares = Counter(
            "fg_canary_error_probability_squares_total",
            "Sum over these answers of the square of that mean.",
            (*arm, "category"),
            registry=registry,
        )
        self._running: dict[str, tuple[str, str]] = {}
        """By profile, the versions of the canary and its incumbent."""

    def announce(self, roster: Roster, categories: Collection[Category]) -> None:
        """Start to compare each canary with its incumbent, at zero; remove the evidence on those that have ended."""
        pairs = {name: (canary.policy.version, roster.served[name].version) for name, canary in roster.canaries.items()}
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
        """Count an answer's scores in its arm."""
        canary, arm = trial.canary, trial.arm
        if self._running.get(profile) != (canary, trial.incumbent):
            return  # the trial ended while this answer waited to be scored
        categories = scored.scores.categories
        if not all(scores.segments for scores in categories.values()):
            return  # an empty answer has no mean, and every category must count the same responses
        self._responses.labels(profile, canary, arm).inc()
        for category, scores in categories.items():
            mean = sum(segment.error_probability for segment in scores.segments) / len(scores.segments)
            self._sums.labels(profile, canary, arm, category).inc(mean)
            self._squares.labels(profile, canary, arm, category).inc(mean * mean)
