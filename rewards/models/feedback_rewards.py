"""The reward models fitted on span feedback: three categories and an overall preference, from one pass."""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rewards.categories import BUILT_IN, Category
from rewards.dataset import PACKAGE
from rewards.errors import FgctlError
from rewards.features.extractor import RESPONSE_FEATURES, SEGMENT_FEATURES, Extractor, ResponseFeatures
from rewards.features.reader import reader_version
from rewards.heads.annotation_label import FittedLabels, load_labels
from rewards.heads.linear import Heads, LinearHead, sigmoid
from rewards.heads.stored_json import content_version, nine_digits, write_in_one_step
from rewards.models.input_ranges import InputRanges
from rewards.models.purpose import REWARD, Purpose, require_reward
from rewards.models.recipe import FitRecipe
from rewards.scores import CategoryScores, ScoreRequest, category_scores
from rewards.segmentation import Span, segments
from rewards.statistics.calibration import OperatingPoint

Matrix = NDArray[np.float64]

FITTED_REWARDS = PACKAGE / "fitted" / "rewards.json"


class CategoryCalibration(BaseModel):
    """How a category was calibrated to local labels."""

    model_config = ConfigDict(frozen=True)

    answers: int
    segments: int
    calibration_error_before: float
    calibration_error_after: float
    """On answers held out from the fit."""
    taken: bool
    """Whether the category was calibrated; if not, it would have become worse."""


class Calibration(BaseModel):
    """What reward models were calibrated from, and to which labels."""

    model_config = ConfigDict(frozen=True)

    parent: str
    """Version of the reward models before."""
    data: dict[str, str]
    """Name and SHA-256 of the labels."""
    categories: dict[Category, CategoryCalibration]


class FittedRewards(BaseModel):
    """`rewards.json`: the heads, the data they were fitted on, and how well they agree with people."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, serialize_by_alias=True)

    version: str
    purpose: Purpose = REWARD
    recipe: FitRecipe
    reader: str
    """Version of the reader and word head whose features the heads were fitted on."""
    heads: Heads
    input_ranges: InputRanges = Field(alias="domain")
    """What the inputs of the training data were like."""
    data: dict[str, str]
    """Name and SHA-256 of the feedback."""
    annotations: int | None = None
    """Number of annotations fitted on; None in files written before they were counted."""
    questions: tuple[str, ...]
    """Keys of the questions fitted on, so that an evaluation can tell which questions are new."""
    agreement: dict[str, Any]
    """Cross-validated agreement with people on those questions (rewards.evaluation.evaluate)."""
    created: datetime
    fgctl: str
    calibrated: Calibration | None = None
    """Where intercepts, slopes and thresholds come from, if from other labels than the rest."""


class FeedbackRewards:
    """Scores responses by the built-in categories, all from one encoding of question, passages and segments."""

    def __init__(
        self,
        fitted: FittedRewards,
        digest: str,
        extractor: Extractor | None = None,
        labels: FittedLabels | None = None,
    ) -> None:
        """`extractor` defaults to one that loads its models at first use. Without `labels`, errors have no label."""
        self.fitted = fitted
        self.digest = digest
        self.extractor = extractor or Extractor()
        self.labels = labels

    @classmethod
    def load(cls, path: Path | None = None) -> "FeedbackRewards":
        """Load fitted heads, by default the shipped ones, and the label heads beside them, if any.

        Raises FgctlError when the heads are missing, when either file is damaged, when the label heads belong to other
        rewards, or when the file is a judge's.
        """
        fitted, digest = load_rewards(path or FITTED_REWARDS)
        return cls(fitted, digest, labels=load_labels(path or FITTED_REWARDS, fitted.version))

    @property
    def version(self) -> str:
        """The content version of the heads: 12 hexadecimal digits."""
        return self.fitted.version

    @property
    def operating_points(self) -> dict[Category, OperatingPoint]:
        """The threshold of each category, with its rates of false alarms and misses on held-out feedback."""
        heads = self.fitted.heads
        return {
            "relevance": heads.relevance.operating,
            "factuality": heads.factuality.operating,
            "completeness": heads.missing.operating,
        }

    @property
    def error_rates_at_home(self) -> dict[Category, float]:
        """The share of errors in the feedback that each category's probabilities are calibrated on, where known."""
        points = self.operating_points.items()
        return {name: point.errors / (point.errors + point.clean) for name, point in points if point.errors}

    def score(self, requests: Sequence[ScoreRequest]) -> list[dict[Category, CategoryScores]]:
        """Score each response by the built-in categories.

        A response gets the same scores alone and in a batch, up to the encoder's rounding: a few thousandths in
        bfloat16.
        """
        return [
            self._score(request, features)
            for request, features in zip(requests, self.extractor.extract(requests), strict=True)
        ]

    def preference(self, requests: Sequence[ScoreRequest]) -> list[float]:
        """The overall score of each response: its log-odds of being preferred to an average one."""
        head = self.fitted.heads.preference
        return [float(head.logits(features.response)) for features in self.extractor.extract(requests)]

    def _score(self, request: ScoreRequest, features: ResponseFeatures) -> dict[Category, CategoryScores]:
        heads = self.fitted.heads
        whole = segments(request.response, "response")
        missing = self._category("completeness", heads.missing, whole, features.response[None][: len(whole)])
        score = float(heads.completeness.logits(features.response))
        reward = float(2 * sigmoid(np.asarray(score)) - 1)
        return {
            "relevance": self._category("relevance", heads.relevance, features.sub_sentences, features.relevance),
            "factuality": self._category("factuality", heads.factuality, features.sentences, features.factuality),
            "completeness": CategoryScores(missing.segments, (reward,) * len(whole), score),
        }

    def _category(self, name: Category, head: LinearHead, spans: Sequence[Span], x: Matrix) -> CategoryScores:
        """`x` are the features of the spans: float64 [spans, features]."""
        label_head = self.labels.heads.get(name) if self.labels else None
        labels = label_head.most_likely(x) if label_head else None
        return category_scores(BUILT_IN[name], spans, head.probabilities(x).tolist(), head.threshold, labels)


def load_rewards(path: Path) -> tuple[FittedRewards, str]:
    """Load fitted heads; returns them with the SHA-256 of their file.

    Raises FgctlError when the file is missing or damaged, does not match this version of fgctl, or is a judge's.
    """
    try:
        content = path.read_bytes()
        require_reward(str(path), _purpose(content))
        fitted = FittedRewards.model_validate_json(content)
    except FileNotFoundError:
        raise FgctlError(f"{path} does not exist; fit the reward models with `fgctl rewards fit`.") from None
    except (OSError, ValidationError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise FgctlError(f"{path} is damaged ({reason}); restore it or run `fgctl rewards fit`.") from None
    if fitted.version != rewards_version(fitted.heads, fitted.reader):
        raise FgctlError(f"{path} was changed after it was fitted; restore it or run `fgctl rewards fit`.")
    heads = fitted.heads
    for head, features in ((heads.relevance, SEGMENT_FEATURES), (heads.completeness, RESPONSE_FEATURES)):
        if head.features != features:
            raise FgctlError(f"{path} was fitted on other features than this version has; run `fgctl rewards fit`.")
    if fitted.reader != reader_version():
        raise FgctlError(f"{path} was fitted with another reader than the installed one; run `fgctl rewards fit`.")
    return fitted, hashlib.sha256(content).hexdigest()


def _purpose(content: bytes) -> str:
    """The purpose that the file states; `reward` if it states none or is damaged."""
    try:
        return str(json.loads(content).get("purpose", REWARD))
    except (ValueError, AttributeError):
        return REWARD


def rewards_version(heads: Heads, reader: str) -> str:
    """The content version of heads, of the reader they need, and of how rewards are computed: 12 hexadecimal digits."""
    payment = {category: (spec.break_even, spec.unit) for category, spec in BUILT_IN.items()}
    return content_version([reader, heads.model_dump(mode="json"), payment])


def assemble_rewards(
    heads: Heads,
    input_ranges: InputRanges,
    *,
    recipe: FitRecipe,
    data: dict[str, str] | None = None,
    annotations: int | None = None,
    questions: Sequence[str] = (),
    agreement: dict[str, Any] | None = None,
) -> FittedRewards:
    """Fitted heads with their metadata. Weights are rounded to nine digits."""
    rounded = Heads.model_validate(nine_digits(heads.model_dump(mode="json")))
    return FittedRewards(
        version=rewards_version(rounded, reader_version()),
        recipe=recipe,
        reader=reader_version(),
        heads=rounded,
        input_ranges=input_ranges,
        data=data or {},
        annotations=annotations,
        questions=tuple(sorted(set(questions))),
        agreement=agreement or {},
        created=datetime.now(UTC).replace(microsecond=0),
        fgctl=package_version("fgctl"),
    )


def save_rewards(path: Path, fitted: FittedRewards) -> None:
    """Write `rewards.json` in one step."""
    unset = {"calibrated"} if fitted.calibrated is None else None
    write_in_one_step(path, fitted.model_dump_json(indent=1, exclude=unset) + "\n")
