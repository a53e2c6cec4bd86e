"""Scoring responses by every category in use: the built-in ones and those that a configuration adds."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from rewards.adapters import load_model
from rewards.categories import Category, CategorySpec
from rewards.configuration import Configuration, ExtraCategory, load_configuration
from rewards.errors import FgctlError
from rewards.models.feedback_rewards import FeedbackRewards
from rewards.models.purpose import REWARD, require_reward
from rewards.protocol import RewardModel
from rewards.scores import CategoryScores, ScoredResponse, ScoreRequest, Segment
from rewards.segmentation import Span, segments


class Scorer:
    """Judges responses by category. Trainer, service and reports take their categories from here."""

    def __init__(
        self,
        feedback: FeedbackRewards,
        configuration: Configuration | None = None,
        models: Mapping[Category, RewardModel] | None = None,
    ) -> None:
        """`models` holds the reward model of each configured category."""
        self.feedback = feedback
        self._configuration = configuration or Configuration()
        self._models = models or {}

    @classmethod
    def load(cls, path: Path | None = None, config: Path | None = None) -> "Scorer":
        """Load fitted rewards, the shipped ones by default, and the categories of a TOML file.

        `config` defaults to $FGCTL_CATEGORIES, or else to no further category. Raises FgctlError when something is
        missing or damaged.
        """
        configuration = load_configuration(config)
        models = {name: load_model(name, one) for name, one in configuration.category.items()}
        return cls(FeedbackRewards.load(path), configuration, models)

    @property
    def categories(self) -> Mapping[Category, CategorySpec]:
        """Every category in use, by name, in the order of all tensors and reports."""
        return self._configuration.specs

    @property
    def version(self) -> str:
        """12 hexadecimal digits for the fitted heads and the settings of further categories.

        It does not cover what is behind a model's name, a URL or an entry point.
        """
        return self._covering_configuration(self.feedback.version)[:12]

    @property
    def digest(self) -> str:
        """The SHA-256 of the fitted rewards' file, or of it and the settings of further categories."""
        return self._covering_configuration(self.feedback.digest)

    def require_rewards(self) -> None:
        """Raise FgctlError when a model in use is a judge, which must not train a policy."""
        for name, model in self._models.items():
            require_reward(f"Category {name}'s model", getattr(model, "purpose", REWARD))
        require_reward(f"Model {self.feedback.version}", self.feedback.fitted.purpose)

    def score(self, requests: Sequence[ScoreRequest]) -> list[ScoredResponse]:
        """Judge each response by every category.

        Raises FgctlError when a configured category's model cannot judge, or answers other than RewardModel says.
        """
        scored = [dict(judged) for judged in self.feedback.score(requests)]
        for judged in scored:
            for name, one in judged.items():
                _check_range(name, [segment.error_probability for segment in one.segments])
        for name, config in self._configuration.category.items():
            for judged, scores in zip(scored, self._judge(name, config, requests), strict=True):
                judged[name] = scores
        return [
            ScoredResponse(judged, self.feedback.fitted.domain.notes(request))
            for request, judged in zip(requests, scored, strict=True)
        ]

    def _judge(self, name: Category, config: ExtraCategory, requests: Sequence[ScoreRequest]) -> list[CategoryScores]:
        spans = [segments(request.response, config.density) for request in requests]
        asked = [i for i, pieces in enumerate(spans) if pieces]
        answers: dict[int, list[float]] = {}
        if asked:
            judged = self._models[name].score([requests[i] for i in asked], [spans[i] for i in asked])
            _check(name, judged, [len(spans[i]) for i in asked])
            answers = dict(zip(asked, judged, strict=True))
        spec = self.categories[name]
        return [_category_scores(pieces, answers.get(i, []), config.threshold, spec) for i, pieces in enumerate(spans)]

    def _covering_configuration(self, identity: str) -> str:
        settings = self._configuration.scored()
        if not settings:
            return identity
        return hashlib.sha256(json.dumps([identity, settings], sort_keys=True).encode()).hexdigest()


def _category_scores(
    spans: Sequence[Span], probabilities: Sequence[float], threshold: float, spec: CategorySpec
) -> CategoryScores:
    pairs = list(zip(spans, map(float, probabilities), strict=True))
    return CategoryScores(
        tuple(Segment(start, end, p, p >= threshold) for (start, end), p in pairs),
        tuple(spec.reward(p) for _, p in pairs),
    )


def _check(name: Category, judged: Sequence[Sequence[float]], counts: Sequence[int]) -> None:
    """Raises FgctlError unless there is a probability for each segment of each response."""
    given = [len(probabilities) for probabilities in judged]
    if given != list(counts):
        raise FgctlError(
            f"The reward model of category {name} gave {_some(given)} probabilities for responses of {_some(counts)} "
            f"segments; it must give one for each segment of each response."
        )
    for probabilities in judged:
        _check_range(name, probabilities)


def _check_range(name: Category, probabilities: Sequence[float]) -> None:
    for p in probabilities:
        if not 0 <= p <= 1:
            raise FgctlError(f"The reward model of category {name} gave {p}, which is no probability in [0, 1].")


def _some(counts: Sequence[int]) -> str:
    return ", ".join(map(str, counts[:8])) + (", ..." if len(counts) > 8 else "") or "no"
