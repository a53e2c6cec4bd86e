"""From scores to probabilities, from probabilities to decisions, and what a decision is worth.

Everything here is fitted on out-of-fold scores: those of heads that have not seen the question they judge.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from rewards.statistics.agreement_with_people import macro_f1

Matrix = NDArray[np.float64]
_Z95 = 1.96


class OperatingPoint(BaseModel):
    """The probability from which a segment counts as an error, and how often that is wrong on held-out feedback."""

    model_config = ConfigDict(frozen=True)

    threshold: float = 0.5
    false_alarm_rate: float = Field(0.0, ge=0, le=1)
    """Share of the segments people left unmarked that reach the threshold."""
    miss_rate: float = Field(0.0, ge=0, le=1)
    """Share of the segments people marked that do not."""
    clean: int = 0
    """Unmarked segments the false-alarm rate was measured on."""
    errors: int = 0
    """Marked segments the miss rate was measured on."""


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


def operating_point(probabilities: Matrix, labels: NDArray[np.bool_]) -> OperatingPoint:
    """The threshold with the best macro-F1 on held-out probabilities [N], and its rates on the same ones.

    One number chosen on hundreds of segments leaves the rates next to unbiased.
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
    """The threshold with the best macro-F1, among those that lie near the probability's quantiles."""
    candidates = np.unique(np.round(np.quantile(probabilities, np.linspace(0.05, 0.95, 91)), 3))
    return float(max(candidates, key=lambda t: (macro_f1(labels, probabilities >= t), -abs(t - 0.5))))


def corrected_rate(errors: int, segments: int, point: OperatingPoint) -> Estimate | None:
    """The share of segments people would mark, from the share that reached the threshold (Rogan & Gladen 1978).

    `(observed - false alarms) / (1 - false alarms - misses)`, with the delta-method interval of Lang & Reiczigel
    (2014), which counts the uncertainty of all three rates. Clipped to [0, 1]. None without segments, and for a
    point that tells nothing apart.
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
    """Slope and shift that make held-out log-odds [N] a probability (Platt 1999); the identity for one-sided labels."""
    from sklearn.linear_model import LogisticRegression

    if labels.all() or not labels.any():
        return 1.0, 0.0
    model = LogisticRegression(C=1e3).fit(logits[:, None], labels)
    slope = float(model.coef_[0, 0])
    # Too little data can turn the sign; a head is never reversed.
    return (slope, float(model.intercept_[0])) if slope > 0 else (1.0, 0.0)


def margin_slope(margins: Matrix) -> float:
    """The slope that makes held-out margins [P] of better over worse log-odds of the pair; 1 if they say nothing."""
    from sklearn.linear_model import LogisticRegression

    both = np.concatenate([margins, -margins])
    model = LogisticRegression(C=1e3, fit_intercept=False).fit(both[:, None], np.repeat([True, False], len(margins)))
    slope = float(model.coef_[0, 0])
    return slope if slope > 0 else 1.0
