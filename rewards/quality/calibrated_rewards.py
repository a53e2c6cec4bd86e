"""Reward models with new intercepts, slopes and thresholds: a version of its own, with lineage."""

from collections.abc import Mapping
from pathlib import Path

from rewards.categories import Category
from rewards.errors import FgctlError
from rewards.heads.annotation_label import FittedLabels, assemble_labels
from rewards.heads.linear import Heads
from rewards.heads.stored_json import nine_digits
from rewards.models.feedback_rewards import (
    Calibration,
    CategoryCalibration,
    FittedRewards,
    rewards_version,
)
from rewards.quality.judged_segments import JudgedSegments
from rewards.quality.recalibration import MIN_ANSWERS, Evaluated, evaluate_recalibration

_HEADS = {"relevance": "relevance", "factuality": "factuality", "completeness": "missing"}
"""The head of each category whose probabilities people's labels calibrate."""


def evaluate_categories(judged: Mapping[Category, JudgedSegments], data: Path | str) -> dict[Category, Evaluated]:
    """A recalibration of each category with enough labels.

    Raises FgctlError where no category has enough, and where none would be better on held-out answers.
    """
    evaluated = {}
    for category, segments in judged.items():
        if category in _HEADS and len(set(segments.answer.tolist())) >= MIN_ANSWERS:
            evaluated[category] = evaluate_recalibration(segments, f"{data}, {category}")
    if not evaluated:
        most = max((len(set(segments.answer.tolist())) for segments in judged.values()), default=0)
        raise FgctlError(
            f"{data} has {most} labelled answers; a recalibration needs at least {MIN_ANSWERS}, so label more of them."
        )
    if not any(figures.better for figures in evaluated.values()):
        errors = ", ".join(f"{name} {e.after:.3f} instead of {e.before:.3f}" for name, e in evaluated.items())
        raise FgctlError(
            f"Recalibration would raise the calibration error on held-out answers ({errors}), so nothing was written; "
            f"label more answers."
        )
    return evaluated


def recalibrated(fitted: FittedRewards, evaluated: Mapping[Category, Evaluated], data: dict[str, str]) -> FittedRewards:
    """The rewards with a new intercept, slope and threshold in each category in which this is better."""
    heads = {
        _HEADS[category]: getattr(fitted.heads, _HEADS[category])
        .scaled(figures.recalibration.slope, figures.recalibration.shift)
        .model_copy(update={"operating": figures.operating})
        for category, figures in evaluated.items()
        if figures.better
    }
    rounded = Heads.model_validate(nine_digits(fitted.heads.model_copy(update=heads).model_dump(mode="json")))
    figures_of = {
        category: CategoryCalibration(
            answers=figures.answers,
            segments=figures.segments,
            calibration_error_before=round(figures.before, 4),
            calibration_error_after=round(figures.after, 4),
            taken=figures.better,
        )
        for category, figures in evaluated.items()
    }
    return fitted.model_copy(
        update={
            "version": rewards_version(rounded, fitted.reader),
            "heads": rounded,
            "calibrated": Calibration(parent=fitted.version, data=data, categories=figures_of),
        }
    )


def with_labels(labels: FittedLabels | None, version: str) -> FittedLabels | None:
    """The label heads of the rewards before, for the new version; they judge the same features."""
    if labels is None:
        return None
    return assemble_labels(labels.heads, version, data=labels.data, agreement=labels.agreement)
