"""From scores to probabilities, from probabilities to decisions, and how often decisions are wrong.

Everything here is fitted on out-of-fold scores: scores of heads whose training data did not include the question.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from rewards.statistics.agreement_with_people import macro_f1

Matrix = NDArray[np.float64]
_Z95 = 1.96


class OperatingPoint(BaseModel):
    """The threshold from which a segment counts as an error, and how often that is wrong on held-out feedback."""

    model_config = ConfigDict(frozen=True)

    threshold: float = 0.5
    false_alarm_rate: float = Field(0.0, ge=0, le=1)
    """Share of unmarked segments that reach the threshold."""
    miss_rate: float = Field(0.0, ge=0, le=1)
    """Share of marked segments that do not reach it."""
    clean: int = 0
    """Number of unmarked segments that the false-alarm rate was measured on."""
    errors: int = 0
    """Number of marked segments that the miss rate was measured on."""


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


def operating_point(probabilities: Matrix, labels: NDArray[np.bool_]) -> OperatingPoint:
    """The threshold with the best macro-F1 on held-out probabilities [N], and its error rates on the same ones.

    Choosing one number on hundreds of segments hardly biases the rates.
    """
    threshold = best_threshold(probabilities, labels)
    reached = probabilities >= threshold
    clean, errors = int((~labels).sum()), int(labels.sum())
    return OperatingPoint(
        threshold=threshold,
        false_alarm_rate=float(reached[~labels].mean()) if clean else 0.0,
        miss_rate=float((~reached[labels]).mean()) if errors else 0.0,
        clean=clean,
        errors=errors,
    )


def best_threshold(probabilities: Matrix, labels: NDArray[np.bool_]) -> float:
    """The threshold with the best macro-F1, among quantiles of the probabilities."""
    candidates = np.unique(np.round(np.quantile(probabilities, np.linspace(0.05, 0.95, 91)), 3))
    return float(max(candidates, key=lambda t: (macro_f1(labels, probabilities >= t), -abs(t - 0.5))))


def corrected_rate(errors: int, segments: int, point: OperatingPoint) -> Estimate | None:
    """The share of segments people would mark, from the share that reached the threshold (Rogan & Gladen 1978).

    `(observed - false alarms) / (1 - false alarms - misses)`, with the delta-method interval of Lang & Reiczigel
    (2014), which includes the uncertainty of all three rates. Clipped to [0, 1]. None without segments, or for an
    operating point that is no better than chance.
    """
    power = 1 - point.false_alarm_rate - point.miss_rate
    if segments == 0 or power <= 0 or not point.clean or not point.errors:
        return None
    observed = errors / segments
    value = float(np.clip((observed - point.false_alarm_rate) / power, 0, 1))
    variance = (
        observed * (1 - observed) / segments
        + (1 - value) ** 2 * point.false_alarm_rate * (1 - point.false_alarm_rate) / point.clean
        + value**2 * point.miss_rate * (1 - point.miss_rate) / point.errors
    ) / power**2
    margin = _Z95 * float(np.sqrt(variance))
    return Estimate(value, max(0.0, value - margin), min(1.0, value + margin))


def platt(logits: Matrix, labels: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and shift that calibrate held-out log-odds [N] (Platt 1999); the identity if all labels are the same."""
    from sklearn.linear_model import LogisticRegression

    if labels.all() or not labels.any():
        return 1.0, 0.0
    model = LogisticRegression(C=1e3).fit(logits[:, None], labels)
    slope = float(model.coef_[0, 0])
    # Too little data can flip the sign; never reverse a head.
    return (slope, float(model.intercept_[0])) if slope > 0 else (1.0, 0.0)


def margin_slope(margins: Matrix) -> float:
    """The slope that turns held-out margins [P] of better over worse into log-odds; 1 if margins tell nothing."""
    from sklearn.linear_model import LogisticRegression

    both = np.concatenate([margins, -margins])
    model = LogisticRegression(C=1e3, fit_intercept=False).fit(both[:, None], np.repeat([True, False], len(margins)))
    slope = float(model.coef_[0, 0])
    return slope if slope > 0 else 1.0
