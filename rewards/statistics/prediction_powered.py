"""Error rates with valid intervals, from few human labels and all model scores: prediction-powered inference.

Sources: Angelopoulos et al. 2023 (Science 382, "Prediction-powered inference"); the power-tuned lambda of PPI++
(arXiv 2311.01453); answers drawn with unequal probabilities count by their inverse (Zrnic & Candès 2024, "Active
statistical inference", arXiv 2403.03208).

An answer is the sampling unit, because the segments of one answer resemble each other. The rate is a ratio of totals,
errors over judged segments, and its variance comes from linearisation (Särndal, Swensson & Wretman 1992, "Model
Assisted Survey Sampling", chapter 5). The rate is that of the scored answers themselves, so an interval shrinks to a
point once all of them are labelled.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

MIN_LABELS = 10
"""Labelled answers, drawn at random, below which there is no estimate."""
_TAIL = 0.975
_MOST_PULL = 0.9
"""A single answer's pull on the estimate, at most, so that its residual stays finite."""


@dataclass(frozen=True)
class Scored:
    """The model's scores of all N answers."""

    segments: Matrix
    """float64 [N]: how many segments each answer has."""
    predicted: Matrix
    """float64 [N]: the sum of their error probabilities."""


@dataclass(frozen=True)
class Labelled:
    """What people say of n of them."""

    judged: Matrix
    """float64 [n]: how many segments of each answer people judged."""
    errors: Matrix
    """float64 [n]: how many of these they marked; a fraction where people differ."""
    predicted: Matrix
    """float64 [n]: the sum of the judged segments' error probabilities."""
    probability: Matrix
    """float64 [n]: with what probability each answer was drawn, up to a common factor; nan for an answer that somebody
    chose, which then counts for itself alone."""


@dataclass(frozen=True)
class Interval:
    """A rate with its 95 % interval."""

    estimate: float
    low: float
    high: float

    @property
    def width(self) -> float:
        """From the low end to the high one."""
        return self.high - self.low


@dataclass(frozen=True)
class ErrorRate:
    """The share of segments that people would mark, among those of all scored answers."""

    rate: Interval
    labels_only: Interval
    """The same from the labels alone."""
    power: float
    """Lambda: how far the scores are trusted, 0 for not at all."""
    labels_saved: int
    """How many more labelled answers the labels alone would need for an interval as narrow."""
    labels_to_halve: int
    """How many more labelled answers would halve the interval."""


def raw_rate(scored: Scored) -> float:
    """The model's own mean error probability; 0 without segments."""
    return float(scored.predicted.sum() / max(scored.segments.sum(), 1.0))


def largest_saving(segments: Matrix, errors: Matrix, summaries: Matrix) -> float:
    """How much narrower scores could make an interval at most: `1 - sqrt(1 - R^2)`.

    The estimate from labels alone varies with what each answer's errors differ from the mean, `errors - rate *
    segments`; an estimate that adds any multiple of summaries of the scores varies with what is left after a regression
    on them (Cochran 1977, "Sampling techniques", section 7.3). R^2 is the share that such a regression explains, here
    with all labels known, so it is more than any draw of few of them can find. `segments` and `errors` are float64 [N],
    `summaries` [N, columns], such as totals over an answer's segments.
    """
    y = errors - errors.sum() / segments.sum() * segments
    x = summaries - np.outer(segments, summaries.sum(0) / segments.sum())
    residual = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
    total = float((y**2).sum())
    return 0.0 if total <= 0 else 1 - float(np.sqrt((residual**2).sum() / total))


def error_rate(scored: Scored, labelled: Labelled) -> ErrorRate | None:
    """The error rate of the scored answers, of which the labelled ones are some.

    With `R = sum(w Y) / sum(w J)` over the answers drawn, of J judged segments and Y errors, F the same ratio of the
    error probabilities and F' that of all answers, the estimate is `R + lambda (F' - F)`. Answers that somebody chose
    are left out of this and added as they are. None for fewer than MIN_LABELS answers that were drawn.
    """
    is_drawn = np.isfinite(labelled.probability)
    drawn, chosen = _part(labelled, is_drawn), _part(labelled, ~is_drawn)
    number, others = int(is_drawn.sum()), len(scored.segments) - int((~is_drawn).sum())
    if number < MIN_LABELS or drawn.judged.sum() <= 0:
        return None
    left = max(float(scored.segments.sum() - chosen.judged.sum()), 1.0)
    share = left / (left + float(chosen.judged.sum()))
    known = float(chosen.errors.sum()) / (left + float(chosen.judged.sum()))
    rest = _rest(drawn, float(scored.predicted.sum() - chosen.predicted.sum()) / left, others)

    def interval(rate: float, variance: float, fitted: float) -> Interval:
        whole = float(np.clip(known + share * rate, 0, 1))
        if number >= others:
            return Interval(whole, whole, whole)
        return _interval(whole, share**2 * variance, number - fitted, number)

    return ErrorRate(
        rate=interval(rest.powered, rest.variance, 1 + rest.trust),
        labels_only=interval(rest.observed, rest.variance_alone, 1),
        power=rest.power,
        labels_saved=max(0, _labels_for(_share(rest.variance, rest.variance_alone), number, others) - number),
        labels_to_halve=max(0, _labels_for(0.25, number, others) - number),
    )


@dataclass(frozen=True)
class _Rest:
    """The rate of the answers that nobody chose."""

    observed: float
    variance_alone: float
    powered: float
    variance: float
    power: float
    trust: float


def _rest(drawn: Labelled, predicted_of_all: float, answers: int) -> _Rest:
    weight = _weights(drawn.probability, answers)
    total = float((weight * drawn.judged).sum())
    observed = float((weight * drawn.errors).sum()) / total
    predicted = float((weight * drawn.predicted).sum()) / total
    # An answer that was certain to be drawn has weight 1, and adds no uncertainty.
    spread = weight * (weight - 1) * len(weight) / (len(weight) - 1) / total**2
    y = drawn.errors - observed * drawn.judged
    f = drawn.predicted - predicted * drawn.judged
    fitted, trust = _power(spread, y, f)
    power = trust * fitted
    pull = weight * drawn.judged / total
    return _Rest(
        observed=observed,
        variance_alone=_variance(spread, y, pull),
        powered=observed + power * (predicted_of_all - predicted),
        variance=_variance(spread, y - power * f, pull + trust * _pull_on_power(spread, f)),
        power=power,
        trust=trust,
    )


def _part(labelled: Labelled, chosen: NDArray[np.bool_]) -> Labelled:
    return Labelled(
        labelled.judged[chosen], labelled.errors[chosen], labelled.predicted[chosen], labelled.probability[chosen]
    )


def _weights(probability: Matrix, answers: int) -> Matrix:
    """How many answers each drawn one stands for: the inverse of its probability, scaled to sum to all answers."""
    inverse = 1 / probability
    return np.asarray(np.maximum(1.0, inverse * answers / inverse.sum()))


def _power(spread: Matrix, y: Matrix, f: Matrix) -> tuple[float, float]:
    """The lambda of the least variance (PPI++, section 6), and how much of it to use, from 0 to 1.

    A score is never turned around. The share to use is `1 - 1 / t^2`, with t the lambda over its standard error
    (James & Stein 1961): where few labels cannot tell whether the scores help, scores would widen the interval.
    """
    square, product, total = (float((spread * part).sum()) for part in (f * f, y * f, y * y))
    if square <= 0 or product <= 0:
        return 0.0, 0.0
    unexplained = max(total - product**2 / square, 0.0)
    signal = (len(y) - 2) * product**2 / square
    return product / square, max(0.0, 1 - unexplained / signal)


def _pull_on_power(spread: Matrix, f: Matrix) -> Matrix:
    """How far each answer pulls lambda its own way: its share of the sum that lambda is fitted on."""
    parts = spread * f**2
    return parts / parts.sum() if parts.any() else parts


def _variance(spread: Matrix, residual: Matrix, pull: Matrix) -> float:
    """The variance of an estimate from its residuals, each divided by how far the estimate is not its own doing.

    Without the division intervals from few labels are too narrow (MacKinnon & White 1985, HC3, which is about the
    jackknife).
    """
    return float((spread * (residual / (1 - np.minimum(pull, _MOST_PULL))) ** 2).sum())


def _interval(rate: float, variance: float, freedom: float, drawn: int) -> Interval:
    """Wilson's interval for the number of segments that would have this variance (Korn & Graubard 1998).

    Where every label is the same, the variance says nothing, and the bound is the exact one for as many answers without
    a single other one (Clopper & Pearson 1934).
    """
    from scipy.special import stdtrit

    quantile = float(stdtrit(freedom, _TAIL))
    if rate in (0, 1):
        bound = 1 - (1 - _TAIL) ** (1 / drawn)
        return Interval(rate, 0.0, bound) if rate == 0 else Interval(rate, 1 - bound, 1.0)
    excess = quantile**2 * variance / (rate * (1 - rate))  # quantile squared over the effective number
    centre = (rate + excess / 2) / (1 + excess)
    margin = quantile * float(np.sqrt(variance + excess * variance / (4 * rate * (1 - rate)))) / (1 + excess)
    return Interval(rate, max(0.0, centre - margin), min(1.0, centre + margin))


def _labels_for(share: float, drawn: int, answers: int) -> int:
    """How many of the answers must be labelled for this share of the present variance, `1 / drawn - 1 / answers`."""
    wanted = 1 / answers + share * max(0.0, 1 / drawn - 1 / answers)
    return int(np.ceil(1 / wanted - 1e-9))


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 1.0
