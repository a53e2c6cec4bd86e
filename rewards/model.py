"""The reward models fitted on span feedback: three categories and a holistic preference from one pass."""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from rewards.calibration import OperatingPoint
from rewards.categories import Category
from rewards.dataset import PACKAGE
from rewards.domain import Domain
from rewards.encoder import Encoder
from rewards.errors import FgctlError
from rewards.features import RESPONSE_FEATURES, SEGMENT_FEATURES, ResponseFeatures, featurise
from rewards.heads import Heads, LinearHead, sigmoid
from rewards.scores import CategoryScores, ScoreRequest, Segment
from rewards.segmentation import Span, segments

FITTED = PACKAGE / "fitted" / "rewards.json"


class FittedRewards(BaseModel):
    """`rewards.json`: the heads, what they were fitted on and how well they agree with people."""

    model_config = ConfigDict(frozen=True)

    version: str
    heads: Heads
    domain: Domain
    """What the fitted inputs were like."""
    data: dict[str, str]
    """Name and SHA-256 of the feedback."""
    questions: tuple[str, ...]
    """Keys of the questions fitted on, so that an evaluation can tell which it may use."""
    agreement: dict[str, Any]
    """Cross-validated agreement with people on those questions (rewards.evaluate)."""
    created: datetime
    fgctl: str


class FeedbackRewards:
    """Judges responses by the built-in categories. One encoding of question, passages and segments serves all."""

    def __init__(self, fitted: FittedRewards, digest: str) -> None:
        self.fitted = fitted
        self.digest = digest

    @classmethod
    def load(cls, path: Path | None = None) -> "FeedbackRewards":
        """Load fitted heads, the shipped ones by default. Raises FgctlError when they are missing or damaged."""
        path = path or FITTED
        try:
            content = path.read_bytes()
            fitted = FittedRewards.model_validate_json(content)
        except FileNotFoundError:
            raise FgctlError(f"{path} does not exist; fit the reward models with `fgctl rewards fit`.") from None
        except (OSError, ValidationError) as error:
            reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
            raise FgctlError(f"{path} is damaged ({reason}); restore it or run `fgctl rewards fit`.") from None
        if fitted.version != version_of(fitted.heads):
            raise FgctlError(f"{path} was changed after it was fitted; restore it or run `fgctl rewards fit`.")
        heads = fitted.heads
        for head, features in ((heads.relevance, SEGMENT_FEATURES), (heads.completeness, RESPONSE_FEATURES)):
            if head.features != features:
                raise FgctlError(f"{path} was fitted on other features than this version's; run `fgctl rewards fit`.")
        return cls(fitted, hashlib.sha256(content).hexdigest())

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

    @cached_property
    def encoder(self) -> Encoder:
        """The shared encoder, loaded at first use."""
        return Encoder()

    def score(self, requests: Sequence[ScoreRequest]) -> list[dict[Category, CategoryScores]]:
        """Judge each response by the built-in categories. A response scores the same alone and in a batch."""
        return [
            self._score(request, features)
            for request, features in zip(requests, featurise(requests, self.encoder), strict=True)
        ]

    def preference(self, requests: Sequence[ScoreRequest]) -> list[float]:
        """The holistic score of each response, in log-odds of being preferred over an average one."""
        head = self.fitted.heads.preference
        return [float(head.logits(features.response)) for features in featurise(requests, self.encoder)]

    def _score(self, request: ScoreRequest, features: ResponseFeatures) -> dict[Category, CategoryScores]:
        heads = self.fitted.heads
        relevance = _judge(heads.relevance, features.sub_sentences, features.relevance)
        factuality = _judge(heads.factuality, features.sentences, features.factuality)
        whole = segments(request.response, "response")
        missing = _judge(heads.missing, whole, features.response[None][: len(whole)])
        score = float(heads.completeness.logits(features.response))
        return {
            "relevance": CategoryScores(relevance, tuple(1 - 2 * s.error_probability for s in relevance)),
            "factuality": CategoryScores(factuality, tuple(1 - 2 * s.error_probability for s in factuality)),
            "completeness": CategoryScores(missing, (float(2 * sigmoid(np.asarray(score)) - 1),) * len(whole), score),
        }


def _judge(head: LinearHead, spans: Sequence[Span], x: np.ndarray[Any, np.dtype[np.float64]]) -> tuple[Segment, ...]:
    if not spans:
        return ()
    return tuple(
        Segment(start, end, float(p), bool(p >= head.threshold))
        for (start, end), p in zip(spans, head.probabilities(x), strict=True)
    )


def version_of(heads: Heads) -> str:
    """The content version of heads: 12 hexadecimal digits."""
    content = json.dumps(heads.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:12]


def save(
    path: Path,
    heads: Heads,
    domain: Domain,
    *,
    data: dict[str, str],
    questions: Sequence[str],
    agreement: dict[str, Any],
) -> None:
    """Write `rewards.json` in one step. Weights are rounded to nine digits first, so that the file is the model."""
    rounded = Heads.model_validate(json.loads(json.dumps(heads.model_dump(mode="json")), parse_float=_nine_digits))
    fitted = FittedRewards(
        version=version_of(rounded),
        heads=rounded,
        domain=domain,
        data=data,
        questions=tuple(sorted(questions)),
        agreement=agreement,
        created=datetime.now(UTC).replace(microsecond=0),
        fgctl=package_version("fgctl"),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".new")
    scratch.write_text(fitted.model_dump_json(indent=1) + "\n", encoding="utf-8")
    scratch.replace(path)


def _nine_digits(text: str) -> float:
    return float(f"{float(text):.9g}")
