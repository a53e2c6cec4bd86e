"""The reward models fitted on span feedback: three categories and a holistic preference from one pass."""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from rewards.categories import BUILT_IN, Category
from rewards.dataset import PACKAGE
from rewards.errors import FgctlError
from rewards.features.extractor import RESPONSE_FEATURES, SEGMENT_FEATURES, Extractor, ResponseFeatures
from rewards.features.reader import reader_version
from rewards.heads.annotation_label import FittedLabels, LabelHead, load_labels
from rewards.heads.linear import Heads, LinearHead, sigmoid
from rewards.heads.stored_json import nine_digits
from rewards.models.input_ranges import InputRanges
from rewards.models.purpose import REWARD, Purpose, require_reward
from rewards.models.recipe import FitRecipe
from rewards.scores import CategoryScores, ScoreRequest, Segment
from rewards.segmentation import Span, segments
from rewards.statistics.calibration import OperatingPoint

Matrix = NDArray[np.float64]

FITTED_REWARDS = PACKAGE / "fitted" / "rewards.json"


class FittedRewards(BaseModel):
    """`rewards.json`: the heads, what they were fitted on and how well they agree with people."""

    model_config = ConfigDict(frozen=True)

    version: str
    purpose: Purpose = REWARD
    recipe: FitRecipe
    reader: str
    """Version of the reader and word head whose features the heads were fitted on."""
    heads: Heads
    domain: InputRanges
    """What the fitted inputs were like."""
    data: dict[str, str]
    """Name and SHA-256 of the feedback."""
    annotations: int | None = None
    """How many annotations of these questions were fitted on; None in files from before they were counted."""
    questions: tuple[str, ...]
    """Keys of the questions fitted on, so that an evaluation can tell which it may use."""
    agreement: dict[str, Any]
    """Cross-validated agreement with people on those questions (rewards.evaluation.evaluate)."""
    created: datetime
    fgctl: str


class FeedbackRewards:
    """Judges responses by the built-in categories. One encoding of question, passages and segments serves all."""

    def __init__(
        self,
        fitted: FittedRewards,
        digest: str,
        extractor: Extractor | None = None,
        labels: FittedLabels | None = None,
    ) -> None:
        """`extractor` turns requests into features; by default one whose models load at first use.

        Without `labels`, errors are found and not named.
        """
        self.fitted = fitted
        self.digest = digest
        self.extractor = extractor or Extractor()
        self.labels = labels

    @classmethod
    def load(cls, path: Path | None = None) -> "FeedbackRewards":
        """Load fitted heads, the shipped ones by default, with the labels beside them, if any.

        Raises FgctlError when the heads are missing, when either is damaged, when the labels are of other heads, or
        when the file is a judge's.
        """
        fitted, digest = load_rewards(path or FITTED_REWARDS)
        return cls(fitted, digest, labels=load_labels(path or FITTED_REWARDS, fitted.version))

    @property
    def version(self) -> str:
        """The content version of the heads: 12 hexadecimal digits."""
        return self.fitted.version

    @property
    def operating_points(self) -> dict[Category, OperatingPoint]:
        """How often each category's errors are false alarms or misses on held-out feedback."""
        heads = self.fitted.heads
        return {
            "relevance": heads.relevance.operating,
            "factuality": heads.factuality.operating,
            "completeness": heads.missing.operating,
        }

    def score(self, requests: Sequence[ScoreRequest]) -> list[dict[Category, CategoryScores]]:
        """Judge each response by the built-in categories.

        A response scores the same alone and in a batch, up to the encoder's rounding: a few thousandths in bfloat16.
        """
        return [
            self._score(request, features)
            for request, features in zip(requests, self.extractor.extract(requests), strict=True)
        ]

    def preference(self, requests: Sequence[ScoreRequest]) -> list[float]:
        """The holistic score of each response, in log-odds of being preferred over an average one."""
        head = self.fitted.heads.preference
        return [float(head.logits(features.response)) for features in self.extractor.extract(requests)]

    def _score(self, request: ScoreRequest, features: ResponseFeatures) -> dict[Category, CategoryScores]:
        heads, labels = self.fitted.heads, self.labels.heads if self.labels else {}
        whole = segments(request.response, "response")
        relevance = _judge(heads.relevance, labels.get("relevance"), features.sub_sentences, features.relevance)
        factuality = _judge(heads.factuality, labels.get("factuality"), features.sentences, features.factuality)
        missing = _judge(heads.missing, labels.get("completeness"), whole, features.response[None][: len(whole)])
        score = float(heads.completeness.logits(features.response))
        return {
            "relevance": CategoryScores(relevance, _rewards("relevance", relevance)),
            "factuality": CategoryScores(factuality, _rewards("factuality", factuality)),
            "completeness": CategoryScores(missing, (float(2 * sigmoid(np.asarray(score)) - 1),) * len(whole), score),
        }


def load_rewards(path: Path) -> tuple[FittedRewards, str]:
    """Fitted heads and the SHA-256 of their file.

    Raises FgctlError when the file is missing or damaged, does not fit this version, or is a judge's.
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
            raise FgctlError(f"{path} was fitted on other features than this version's; run `fgctl rewards fit`.")
    if fitted.reader != reader_version():
        raise FgctlError(f"{path} was fitted with another reader than the one installed; run `fgctl rewards fit`.")
    return fitted, hashlib.sha256(content).hexdigest()


def _purpose(content: bytes) -> str:
    """What the file says it is for; rewards, if it does not say or is damaged."""
    try:
        return str(json.loads(content).get("purpose", REWARD))
    except (ValueError, AttributeError):
        return REWARD


def _rewards(category: Category, judged: Sequence[Segment]) -> tuple[float, ...]:
    return tuple(BUILT_IN[category].reward(s.error_probability) for s in judged)


def _judge(head: LinearHead, labels: LabelHead | None, spans: Sequence[Span], x: Matrix) -> tuple[Segment, ...]:
    if not spans:
        return ()
    names = labels.most_likely(x) if labels else [None] * len(spans)
    return tuple(
        Segment(start, end, float(p), bool(p >= head.threshold), name if p >= head.threshold else None)
        for (start, end), p, name in zip(spans, head.probabilities(x), names, strict=True)
    )


def rewards_version(heads: Heads, reader: str) -> str:
    """The content version of heads on a version of the reader, and of what they pay: 12 hexadecimal digits."""
    pays = {category: (spec.break_even, spec.unit) for category, spec in BUILT_IN.items()}
    content = json.dumps([reader, heads.model_dump(mode="json"), pays], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:12]


def assemble_rewards(
    heads: Heads,
    domain: InputRanges,
    *,
    recipe: FitRecipe,
    data: dict[str, str] | None = None,
    annotations: int | None = None,
    questions: Sequence[str] = (),
    agreement: dict[str, Any] | None = None,
) -> FittedRewards:
    """Fitted heads with all that is known of them. Weights are rounded to nine digits, so that a file is the model."""
    rounded = Heads.model_validate(nine_digits(heads.model_dump(mode="json")))
    return FittedRewards(
        version=rewards_version(rounded, reader_version()),
        recipe=recipe,
        reader=reader_version(),
        heads=rounded,
        domain=domain,
        data=data or {},
        annotations=annotations,
        questions=tuple(sorted(set(questions))),
        agreement=agreement or {},
        created=datetime.now(UTC).replace(microsecond=0),
        fgctl=package_version("fgctl"),
    )


def save_rewards(path: Path, fitted: FittedRewards) -> None:
    """Write `rewards.json` in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".new")
    scratch.write_text(fitted.model_dump_json(indent=1) + "\n", encoding="utf-8")
    scratch.replace(path)
