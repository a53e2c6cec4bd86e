"""Linear heads on named features, which score the probability of an error or which of two responses is better."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, model_validator

from rewards.statistics.calibration import OperatingPoint

Matrix = NDArray[np.float64]


class LinearHead(BaseModel):
    """`intercept + sum_i weight_i * (x_i - mean_i) / scale_i`, in log-odds."""

    model_config = ConfigDict(frozen=True)

    features: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weight: tuple[float, ...]
    intercept: float = 0.0
    operating: OperatingPoint = OperatingPoint()
    """The threshold from which a segment counts as an error, and how often that is wrong."""

    @model_validator(mode="after")
    def _same_length(self) -> "LinearHead":
        if not len(self.features) == len(self.mean) == len(self.scale) == len(self.weight):
            raise ValueError("features, mean, scale and weight differ in length")
        return self

    @property
    def threshold(self) -> float:
        """The probability from which a segment counts as an error."""
        return self.operating.threshold

    def logits(self, x: Matrix) -> Matrix:
        """Log-odds: float64 [..., features] to [...]."""
        standardised = (x - np.asarray(self.mean)) / np.asarray(self.scale)
        return np.asarray(standardised @ np.asarray(self.weight) + self.intercept)

    def scaled(self, slope: float, shift: float = 0.0) -> "LinearHead":
        """The head whose log-odds are `slope * logits + shift`."""
        weight = tuple(slope * w for w in self.weight)
        return self.model_copy(update={"weight": weight, "intercept": slope * self.intercept + shift})

    def plus(self, other: "LinearHead", factor: float) -> "LinearHead":
        """The head whose log-odds are its own plus `factor` times those of another head on the same features."""
        ratio = factor * np.asarray(self.scale) / np.asarray(other.scale)
        weight = np.asarray(self.weight) + ratio * np.asarray(other.weight)
        between = (np.asarray(self.mean) - np.asarray(other.mean)) / np.asarray(other.scale)
        shift = factor * (other.intercept + float(between @ np.asarray(other.weight)))
        return self.model_copy(update={"weight": tuple(weight.tolist()), "intercept": self.intercept + shift})

    def probabilities(self, x: Matrix) -> Matrix:
        """The probability of an error: float64 [..., features] to [...]."""
        return sigmoid(self.logits(x))


class Heads(BaseModel):
    """A head for each category, and two more for whole responses."""

    model_config = ConfigDict(frozen=True)

    relevance: LinearHead
    factuality: LinearHead
    missing: LinearHead
    """Whether an annotator would mark missing information."""
    completeness: LinearHead
    """Bradley-Terry: how much of the corrected response's content a response covers, compared with an average one."""
    preference: LinearHead
    """Bradley-Terry: which response people prefer overall."""


def sigmoid(x: Matrix) -> Matrix:
    """The logistic function."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * np.asarray(x))))


def fit_logistic(
    x: Matrix,
    y: NDArray[np.bool_],
    features: Sequence[str],
    strength: float,
    used: Sequence[str] | None = None,
    weight: Matrix | None = None,
) -> LinearHead:
    """L2-regularised logistic regression of `y` [N] on standardised `x` [N, features]; `strength` is sklearn's C.

    Features not in `used` get weight 0. `weight` [N] makes rows count more or less.
    """
    from sklearn.linear_model import LogisticRegression

    mean, scale = standardisation(x, weight)
    mask = _mask(features, used)
    if y.all() or not y.any():  # nothing to separate: only the smoothed base rate is left
        rate = (y.sum() + 1) / (len(y) + 2)
        return LinearHead(
            features=tuple(features), mean=tuple(mean), scale=tuple(scale), weight=(0.0,) * len(features),
            intercept=float(np.log(rate / (1 - rate))),
        )  # fmt: skip
    model = LogisticRegression(C=strength, max_iter=2000).fit((x - mean) / scale * mask, y, sample_weight=weight)
    return LinearHead(
        features=tuple(features), mean=tuple(mean), scale=tuple(scale), weight=tuple(model.coef_[0]),
        intercept=float(model.intercept_[0]),
    )  # fmt: skip


def fit_bradley_terry(
    x: Matrix,
    better: NDArray[np.int64],
    worse: NDArray[np.int64],
    features: Sequence[str],
    strength: float,
    used: Sequence[str] | None = None,
) -> LinearHead:
    """Bradley-Terry on pairs: `better` and `worse` [P] index the responses in `x` [N, features].

    Each pair enters in both orders, so there is no intercept and no advantage for the first of a pair. Features not in
    `used` get weight 0.
    """
    from sklearn.linear_model import LogisticRegression

    rows = np.concatenate([better, worse])
    mean, scale = standardisation(x[rows])
    z = (x - mean) / scale * _mask(features, used)
    difference = z[better] - z[worse]
    both = np.concatenate([difference, -difference])
    labels = np.repeat([True, False], len(difference))
    model = LogisticRegression(C=strength, fit_intercept=False, max_iter=2000).fit(both, labels)
    return LinearHead(features=tuple(features), mean=tuple(mean), scale=tuple(scale), weight=tuple(model.coef_[0]))


def standardisation(x: Matrix, weight: Matrix | None = None) -> tuple[Matrix, Matrix]:
    """Weighted mean and standard deviation of each column; 1 for a column that does not vary."""
    mean = np.average(x, axis=0, weights=weight)
    scale = np.sqrt(np.average((x - mean) ** 2, axis=0, weights=weight))
    return mean, np.where(scale > 1e-9, scale, 1.0)


def _mask(features: Sequence[str], used: Sequence[str] | None) -> Matrix:
    return np.array([used is None or name in used for name in features], dtype=np.float64)
