"""Scores responses by every category in use: the built-in ones, toxicity, and those that a configuration file adds."""

import hashlib
import json
import math
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from rewards.adapters import load_model
from rewards.categories import BUILT_IN, Category, CategorySpec
from rewards.configuration import Configuration, ExtraCategory, load_configuration
from rewards.errors import FgctlError
from rewards.models.feedback_rewards import FeedbackRewards
from rewards.models.purpose import REWARD, require_reward
from rewards.protocol import RewardModel
from rewards.scores import CategoryScores, ScoredResponse, ScoreRequest, category_scores
from rewards.segmentation import segments
from rewards.toxicity.model import ToxicityModel
from rewards.toxicity.sentence_rewards import ToxicityRewards


class Scorer:
    """Scores responses by category. Trainer, service and reports take their categories from here."""

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
        """Load fitted rewards, by default the shipped ones, and the categories of a TOML file.

        `config` defaults to $FGCTL_CATEGORIES; without either there are no further categories. Raises FgctlError when
        something is missing or damaged.
        """
        configuration = load_configuration(config)
        models = {name: load_model(name, settings) for name, settings in configuration.category.items()}
        return cls(FeedbackRewards.load(path), configuration, models)

    @property
    def categories(self) -> Mapping[Category, CategorySpec]:
        """Every category in use, by name, in the order of all tensors and reports."""
        return self._configuration.specs

    @property
    def version(self) -> str:
        """12 hexadecimal digits that identify the fitted heads and the settings of further categories.

        They do not cover the toxicity scorer, which has a version of its own, nor what stands behind a model's name, a
        URL or an entry point.
        """
        return self._with_configuration(self.feedback.version)[:12]

    @property
    def digest(self) -> str:
        """The SHA-256 of the fitted rewards' file, combined with the settings of further categories if any."""
        return self._with_configuration(self.feedback.digest)

    def require_rewards(self) -> None:
        """Raise FgctlError when a model in use is a judge, which must not train a policy."""
        for name, model in self._models.items():
            require_reward(f"Category {name}'s model", getattr(model, "purpose", REWARD))
        require_reward(f"Model {self.feedback.version}", self.feedback.fitted.purpose)

    def score(self, requests: Sequence[ScoreRequest]) -> list[ScoredResponse]:
        """Score each response by every category, whatever it comes with. Raises like `score_by`."""
        return self.score_by(requests, [tuple(self.categories)] * len(requests))

    def score_by_needs(self, requests: Sequence[ScoreRequest]) -> list[ScoredResponse]:
        """Score each response by the categories that get what they need, leaving out the others.

        A response that the built-in categories do not judge has no notes. Raises like `score_by`.
        """
        return self.score_by(requests, [judging(self.categories, request) for request in requests])

    def score_by(
        self, requests: Sequence[ScoreRequest], categories: Sequence[Collection[Category]]
    ) -> list[ScoredResponse]:
        """Score each response by categories of its own, which are some of those in use.

        Raises FgctlError when a configured category's model fails, or does not return what RewardModel asks for.
        """
        by_response: list[dict[Category, CategoryScores]] = [{} for _ in requests]
        built_in = [i for i, names in enumerate(categories) if not BUILT_IN.keys().isdisjoint(names)]
        for i, scores in zip(built_in, self.feedback.score([requests[i] for i in built_in]), strict=True):
            for name in (name for name in scores if name in categories[i]):
                _require_probabilities(name, [segment.error_probability for segment in scores[name].segments])
                by_response[i][name] = scores[name]
        for name in (name for name in self.categories if name not in BUILT_IN):
            judged = [i for i, names in enumerate(categories) if name in names]
            parts = self._score_category(name, [requests[i] for i in judged])
            for i, of_category in zip(judged, parts, strict=True):
                by_response[i][name] = of_category
        notes = {i: self.feedback.fitted.input_ranges.notes(requests[i]) for i in built_in}
        return [ScoredResponse(scores, notes.get(i, ())) for i, scores in enumerate(by_response)]

    def holistic(self, requests: Sequence[ScoreRequest]) -> list[float]:
        """The preference model's reward: the chance of beating an average response, scaled to [-1, 1]."""
        return [math.tanh(preferred / 2) for preferred in self.feedback.preference(requests)]

    @cached_property
    def toxicity(self) -> ToxicityRewards:
        """The shipped toxicity scorer. Raises FgctlError when it is missing or damaged."""
        return ToxicityRewards(ToxicityModel.load())

    def _score_category(self, name: Category, requests: Sequence[ScoreRequest]) -> list[CategoryScores]:
        settings = self._configuration.category.get(name)
        if settings is None:
            return [scored.categories[name] for scored in self.toxicity.score(requests)]
        return self._score_configured(name, settings, requests)

    def _score_configured(
        self, name: Category, settings: ExtraCategory, requests: Sequence[ScoreRequest]
    ) -> list[CategoryScores]:
        spans = [segments(request.response, settings.density) for request in requests]
        with_segments = [i for i, response in enumerate(spans) if response]
        probabilities: dict[int, list[float]] = {}
        if with_segments:
            reply = self._models[name].score([requests[i] for i in with_segments], [spans[i] for i in with_segments])
            _require_one_per_segment(name, reply, [len(spans[i]) for i in with_segments])
            probabilities = dict(zip(with_segments, reply, strict=True))
        spec = self.categories[name]
        return [
            category_scores(spec, response, probabilities.get(i, []), settings.threshold)
            for i, response in enumerate(spans)
        ]

    def _with_configuration(self, identity: str) -> str:
        settings = self._configuration.scored()
        if not settings:
            return identity
        return hashlib.sha256(json.dumps([identity, settings], sort_keys=True).encode()).hexdigest()


def judging(categories: Mapping[Category, CategorySpec], request: ScoreRequest) -> tuple[Category, ...]:
    """The categories that can judge a response with what it comes with."""
    return tuple(name for name, spec in categories.items() if spec.can_judge(request.question, request.passages))


def _require_one_per_segment(name: Category, reply: Sequence[Sequence[float]], counts: Sequence[int]) -> None:
    """Raise FgctlError unless there is a probability for each segment of each response."""
    lengths = [len(probabilities) for probabilities in reply]
    if lengths != list(counts):
        raise FgctlError(
            f"The reward model of category {name} gave {_listed(lengths)} probabilities for responses of "
            f"{_listed(counts)} segments; it must give one for each segment of each response."
        )
    for probabilities in reply:
        _require_probabilities(name, probabilities)


def _require_probabilities(name: Category, values: Sequence[float]) -> None:
    for value in values:
        if not 0 <= value <= 1:
            raise FgctlError(f"The reward model of category {name} gave {value}, which is not a probability in [0, 1].")


def _listed(counts: Sequence[int]) -> str:
    return ", ".join(map(str, counts[:8])) + (", ..." if len(counts) > 8 else "") or "no"
