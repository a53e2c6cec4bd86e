"""What few labels do on a set whose answers are all labelled: intervals that cover the truth, and calibration."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rewards.quality.judged_segments import JudgedSegments
from rewards.quality.recalibration import fit_recalibration
from rewards.statistics.agreement_with_people import calibration_error, roc_auc, rounded
from rewards.statistics.prediction_powered import Labelled, Scored, error_rate, raw_rate

Matrix = NDArray[np.float64]

LABELS = (30, 50, 100)
"""Labelled answers of a draw."""
DRAWS = 500
CALIBRATED_ON = 50
"""Labelled answers that a recalibration is fitted on."""


def study(segments: JudgedSegments, labels: Sequence[int] = LABELS, draws: int = DRAWS) -> dict[str, Any]:
    """What the models say without labels, and what they are worth with few: figures for a table and a plot.

    `truth` and `raw` are the share of errors and the mean probability of one; `auc` that of the models and of lexical
    overlap; `intervals` has the coverage and mean width of 95 % intervals by the number of labelled answers;
    `calibration` the calibration error of the other answers before and after a recalibration on few.
    """
    number = np.unique(segments.answer, return_inverse=True)[1]
    scored = Scored(np.bincount(number).astype(float), np.bincount(number, segments.probabilities).astype(np.float64))
    errors = np.bincount(number, segments.errors).astype(np.float64)
    return {
        "answers": len(errors),
        "segments": len(number),
        "truth": rounded(segments.errors.mean()),
        "raw": rounded(raw_rate(scored)),
        "auc": {
            "model": roc_auc(segments.errors, segments.probabilities),
            "overlap": roc_auc(segments.errors, 1 - segments.overlap),
        },
        "draws": draws,
        "intervals": [_intervals(scored, errors, n, draws) for n in labels if n < len(errors)],
        "calibration": calibration(segments, min(draws, 100)),
    }


def _intervals(scored: Scored, errors: Matrix, labels: int, draws: int) -> dict[str, Any]:
    """Over draws of so many labelled answers: how often the interval has the truth, and how wide it is."""
    generator = np.random.default_rng(labels)
    truth = errors.sum() / scored.segments.sum()
    covered, widths, distance = np.zeros(2), np.zeros(2), 0.0
    for _ in range(draws):
        drawn = generator.choice(len(errors), labels, replace=False)
        estimate = error_rate(
            scored, Labelled(scored.segments[drawn], errors[drawn], scored.predicted[drawn], np.ones(labels))
        )
        if estimate is None:
            raise ValueError(f"{labels} labels are too few")
        intervals = (estimate.rate, estimate.labels_only)
        covered += [interval.low <= truth <= interval.high for interval in intervals]
        widths += [interval.width for interval in intervals]
        distance += abs(estimate.rate.estimate - truth)
    return {
        "labels": labels,
        "coverage": rounded(covered[0] / draws),
        "coverage_labels_only": rounded(covered[1] / draws),
        "width": rounded(widths[0] / draws),
        "width_labels_only": rounded(widths[1] / draws),
        "narrower": rounded(1 - widths[0] / widths[1]),
        "mean_distance": rounded(distance / draws),
    }


def calibration(segments: JudgedSegments, draws: int, labels: int = CALIBRATED_ON) -> dict[str, Any]:
    """The mean calibration error of the answers not drawn, before and after, and that of perfect probabilities.

    The last, by labels drawn with these probabilities, is what the binning of so few segments gives by chance.
    """
    generator = np.random.default_rng(0)
    answers = np.unique(segments.answer)
    labels = min(labels, len(answers) // 2)
    sums = np.zeros(3)
    for _ in range(draws):
        drawn = np.isin(segments.answer, generator.choice(answers, labels, replace=False))
        fitted, rest = fit_recalibration(segments.logits[drawn], segments.errors[drawn]), segments.of(~drawn)
        after = fitted.probabilities(rest.logits)
        perfect = generator.random(len(after)) < after
        sums += [
            calibration_error(rest.probabilities, rest.errors),
            calibration_error(after, rest.errors),
            calibration_error(after, perfect),
        ]
    before, after_few, by_chance = sums / draws
    return {
        "labels": labels, "before": rounded(before), "after": rounded(after_few), "by_chance": rounded(by_chance)
    }  # fmt: skip
