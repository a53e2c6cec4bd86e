"""New intercepts, slopes and thresholds for reward models, from local labels. The ranking stays as it is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rewards.errors import FgctlError
from rewards.heads.linear import sigmoid
from rewards.quality.judged_segments import JudgedSegments
from rewards.statistics.agreement_with_people import calibration_error
from rewards.statistics.calibration import OperatingPoint, operating_point

Matrix = NDArray[np.float64]

MIN_ANSWERS = 30
"""Labelled answers that a recalibration needs."""
_FOLDS = 5
_STRENGTH = 1.0
"""scikit-learn's C for the slope on standardised log-odds: few labels pull it towards 0, the base rate alone."""
_LEAST_SLOPE = 0.02
"""A slope below this would lose the ranking to rounding; a negative one would turn it around."""


@dataclass(frozen=True)
class Recalibration:
    """New log-odds, `slope * logits + shift`."""

    slope: float
    shift: float

    def probabilities(self, logits: Matrix) -> Matrix:
        """The calibrated probabilities: float64 [N] to [N]."""
        return sigmoid(self.slope * logits + self.shift)


@dataclass(frozen=True)
class Evaluated:
    """A recalibration, and what it does on answers that it was not fitted on."""

    recalibration: Recalibration
    operating: OperatingPoint
    """The threshold and its error rates, by out-of-fold probabilities."""
    before: float
    """Calibration error of the model as it is."""
    after: float
    """Calibration error out of fold."""
    answers: int
    segments: int

    @property
    def better(self) -> bool:
        """Whether it lowers the calibration error on held-out answers."""
        return self.after < self.before


def fit_recalibration(logits: Matrix, errors: NDArray[np.bool_]) -> Recalibration:
    """Platt's slope and shift (1999), the slope regularised and positive; errors smoothed where all are the same."""
    from sklearn.linear_model import LogisticRegression

    mean, scale = float(logits.mean()), float(logits.std()) or 1.0
    rate = (errors.sum() + 0.5) / (len(errors) + 1)
    base = float(np.log(rate / (1 - rate)))
    if errors.all() or not errors.any():
        return Recalibration(_LEAST_SLOPE, base - _LEAST_SLOPE * mean)
    model = LogisticRegression(C=_STRENGTH).fit(((logits - mean) / scale)[:, None], errors)
    slope = float(model.coef_[0, 0]) / scale
    if slope < _LEAST_SLOPE:
        return Recalibration(_LEAST_SLOPE, base - _LEAST_SLOPE * mean)
    return Recalibration(slope, float(model.intercept_[0]) - slope * mean)


def evaluate_recalibration(segments: JudgedSegments, name: str) -> Evaluated:
    """Fit on all answers, and measure on folds of answers that are held out in turn.

    Raises FgctlError for fewer answers than MIN_ANSWERS.
    """
    answers = np.unique(segments.answer)
    if len(answers) < MIN_ANSWERS:
        raise FgctlError(
            f"{name}: {len(answers)} labelled answers are too few to calibrate on; label at least {MIN_ANSWERS}."
        )
    probabilities = out_of_fold(segments, np.array_split(np.random.default_rng(0).permutation(answers), _FOLDS))
    return Evaluated(
        fit_recalibration(segments.logits, segments.errors),
        operating_point(probabilities, segments.errors),
        calibration_error(segments.probabilities, segments.errors),
        calibration_error(probabilities, segments.errors),
        len(answers),
        len(segments.errors),
    )


def out_of_fold(segments: JudgedSegments, folds: Sequence[NDArray[np.int64]]) -> Matrix:
    """The probabilities of each fold's answers by a recalibration on the other answers: float64 [N]."""
    probabilities = np.zeros(len(segments.errors))
    for fold in folds:
        held_out = np.isin(segments.answer, fold)
        fitted = fit_recalibration(segments.logits[~held_out], segments.errors[~held_out])
        probabilities[held_out] = fitted.probabilities(segments.logits[held_out])
    return probabilities
