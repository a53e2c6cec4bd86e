"""The share of errors on other traffic, from scores alone, if errors there look like errors at home.

Under label shift only the share of errors differs: a segment that is an error is scored as errors are at home, and one
that is not as those are. Where errors look different, as with other kinds of answers, the share is wrong: only labels
tell (rewards.statistics.prediction_powered).
"""

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

_LEAST = 1e-6
_STEPS = 1000
_CLOSE = 1e-7


def shifted_rate(probabilities: Matrix, at_home: float) -> float:
    """The maximum-likelihood share of errors among segments of these error probabilities, float64 [N].

    `at_home` is the share of errors where the probabilities are calibrated. By expectation maximisation (Saerens,
    Latinne & Decaestecker 2002, "Adjusting the outputs of a classifier to new a priori probabilities"). Returns
    `at_home` without segments.
    """
    if not len(probabilities):
        return at_home
    p = np.clip(probabilities, _LEAST, 1 - _LEAST)
    home = float(np.clip(at_home, _LEAST, 1 - _LEAST))
    likelihoods = p / (1 - p) * (1 - home) / home
    rate = home
    for _ in range(_STEPS):
        odds = likelihoods * rate / (1 - rate)
        step = float(np.clip((odds / (1 + odds)).mean(), _LEAST, 1 - _LEAST))
        if abs(step - rate) < _CLOSE:
            return step
        rate = step
    return rate
