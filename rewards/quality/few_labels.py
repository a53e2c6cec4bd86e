"""What few labels do on a set whose answers are all labelled: intervals that cover the truth, and calibration."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rewards.quality.judged_segments import JudgedSegments
from rewards.quality.recalibration import fit_recalibration
from rewards.statistics.agreement_with_people import (
    calibration_error,
    calibration_error_beyond_chance,
    roc_auc,
    rounded,
)
from rewards.statistics.label_shift import shifted_rate
from rewards.statistics.prediction_powered import Labelled, Scored, error_rate, largest_saving, raw_rate

Matrix = NDArray[np.float64]

LABELS = (30, 50, 100)
"""Labelled answers of a draw."""
DRAWS = 500
CALIBRATED_ON = 50
"""Labelled answers that a recalibration is fitted on."""


def study(
    segments: JudgedSegments, at_home: float, labels: Sequence[int] = LABELS, draws: int = DRAWS, seeds: int = 1
) -> dict[str, Any]:
    """What the models say without labels, and what they are worth with few: figures for a table and a plot.

    `truth` and `raw` are the share of errors and the mean probability of one; `auc` that of the models and of lexical
    overlap; `intervals` has the coverage and mean width of 95 % intervals by the number of labelled answers;
    `most` how much narrower at most any use of the scores could make them, and `most_of_probabilities` any multiple of
    the probabilities; `label_shift` the share of errors by the scores if errors looked as they do `at_home`;
    `calibration` the calibration error of the other answers before and after a recalibration on few. The intervals are
    drawn `draws` times with each of the seeds 0, 1, ….
    """
    number = np.unique(segments.answer, return_inverse=True)[1]
    scored = Scored(np.bincount(number).astype(float), np.bincount(number, segments.probabilities).astype(np.float64))
    errors = np.bincount(number, segments.errors).astype(np.float64)
    return {
        "answers": len(errors),
        "segments": len(number),
        "truth": rounded(segments.errors.mean()),
        "raw": rounded(raw_rate(scored)),
        "label_shift": rounded(shifted_rate(segments.probabilities, at_home)),
        "most": rounded(largest_saving(scored.segments, errors, _summaries(segments, number))),
        "most_of_probabilities": rounded(largest_saving(scored.segments, errors, scored.predicted[:, None])),
        "auc": {
            "model": roc_auc(segments.errors, segments.probabilities),
            "overlap": roc_auc(segments.errors, 1 - segments.overlap),
        },
        "draws": draws,
        "seeds": seeds,
        "intervals": [_intervals(scored, errors, n, draws, seeds) for n in labels if n < len(errors)],
        "calibration": calibration(segments, min(draws, 100)),
    }


def _summaries(segments: JudgedSegments, answer: NDArray[np.int64]) -> Matrix:
    """Totals of each answer by which its errors might be predicted from its scores: float64 [answers, columns].

    How many segments lie in each tenth of the probabilities, their probabilities, their log-odds, how many of their
    words stand in the passages, and how many segments there are.
    """
    tenths = np.searchsorted(np.quantile(segments.logits, np.linspace(0.1, 0.9, 9)), segments.logits)
    columns = [*(tenths == tenth for tenth in range(1, 10)), segments.probabilities, segments.logits, segments.overlap]
    totals = [np.bincount(answer, column.astype(np.float64)) for column in columns]
    return np.column_stack([*totals, np.ones(len(totals[0]))])


def _intervals(scored: Scored, errors: Matrix, labels: int, draws: int, seeds: int) -> dict[str, Any]:
    """Over draws of so many labelled answers: how often the interval has the truth, and how wide it is."""
    generators = [np.random.default_rng(labels + (seed << 32)) for seed in range(seeds)]
    drawings = (generator.choice(len(errors), labels, replace=False) for generator in generators for _ in range(draws))
    count = draws * seeds
    truth = errors.sum() / scored.segments.sum()
    covered, widths, distance = np.zeros(2), np.zeros(2), 0.0
    for drawn in drawings:
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
        "coverage": rounded(covered[0] / count),
        "coverage_labels_only": rounded(covered[1] / count),
        "width": rounded(widths[0] / count),
        "width_labels_only": rounded(widths[1] / count),
        "narrower": rounded(1 - widths[0] / widths[1]),
        "mean_distance": rounded(distance / count),
    }


def calibration(segments: JudgedSegments, draws: int, labels: int = CALIBRATED_ON) -> dict[str, Any]:
    """The mean calibration error of the answers not drawn, before and after, and that of perfect probabilities.

    The last, by labels drawn with these probabilities, is what the binning of so few segments gives by chance; `beyond`
    is the error after recalibration without it.
    """
    generator = np.random.default_rng(0)
    answers = np.unique(segments.answer)
    labels = min(labels, len(answers) // 2)
    sums = np.zeros(4)
    for _ in range(draws):
        drawn = np.isin(segments.answer, generator.choice(answers, labels, replace=False))
        fitted, rest = fit_recalibration(segments.logits[drawn], segments.errors[drawn]), segments.of(~drawn)
        after = fitted.probabilities(rest.logits)
        perfect = generator.random(len(after)) < after
        sums += [
            calibration_error(rest.probabilities, rest.errors),
            calibration_error(after, rest.errors),
            calibration_error(after, perfect),
            calibration_error_beyond_chance(after, rest.errors),
        ]
    names = ("before", "after", "by_chance", "beyond")
    return {"labels": labels} | dict(zip(names, map(rounded, sums / draws), strict=True))
