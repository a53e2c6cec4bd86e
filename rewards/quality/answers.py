"""Scored answers and what people say of them, as the sampling units of an error rate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import nan
from typing import Any

import numpy as np

from rewards.categories import Category
from rewards.quality.support_labels import Marks
from rewards.segmentation import Span
from rewards.statistics.prediction_powered import Labelled, Scored


@dataclass(frozen=True, slots=True)
class ScoredTotals:
    """What the reward model says of an answer in one category."""

    segments: int
    predicted: float
    """The sum of their error probabilities."""
    flagged: int
    """How many reach the category's threshold."""
    probabilities: tuple[float, ...] = ()
    """The error probability of each."""


@dataclass(frozen=True, slots=True)
class JudgedTotals:
    """What people say of an answer in one category."""

    segments: float
    """How many segments somebody judged."""
    errors: float
    """How many of them are marked; a fraction where people differ."""
    predicted: float
    """The sum of the judged segments' error probabilities."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A scored answer, and what people say of it in the categories in which they have judged it."""

    scores: Mapping[Category, ScoredTotals]
    judged: Mapping[Category, JudgedTotals] = field(default_factory=dict)
    probability: float = nan
    """With what probability it was drawn to be labelled, up to a factor common to all; nan if somebody chose it."""


def spans_of(scores: Mapping[Category, Any], category: Category) -> list[Span]:
    """The segments of a category, from `scores` as ScoredResponse.as_json has them."""
    return [(segment["start"], segment["end"]) for segment in scores[category]["segments"]]


def scored_totals(scores: Mapping[Category, Any]) -> dict[Category, ScoredTotals]:
    """The totals of each category, from `scores` as ScoredResponse.as_json has them."""
    return {
        category: ScoredTotals(
            len(segments),
            sum(float(segment["error_probability"]) for segment in segments),
            sum(bool(segment["error"]) for segment in segments),
            tuple(float(segment["error_probability"]) for segment in segments),
        )
        for category, of_category in scores.items()
        for segments in (of_category["segments"],)
    }


def judged_totals(scores: Mapping[Category, Any], marks: Mapping[Category, Marks]) -> dict[Category, JudgedTotals]:
    """The totals of each category in which people have judged a segment."""
    totals = {}
    for category, of_category in marks.items():
        judged = np.isfinite(of_category)
        if judged.any():
            probabilities = np.array([s["error_probability"] for s in scores[category]["segments"]], dtype=np.float64)
            totals[category] = JudgedTotals(
                float(judged.sum()), float(of_category[judged].sum()), float(probabilities[judged].sum())
            )
    return totals


def mean_marks(opinions: Sequence[Mapping[Category, Marks]]) -> dict[Category, Marks]:
    """The share of people that marks each segment, by category; nan for a segment that nobody judged."""
    categories = dict.fromkeys(category for opinion in opinions for category in opinion)
    return {
        category: _mean_of_judged(np.stack([opinion[category] for opinion in opinions if category in opinion]))
        for category in categories
    }


def _mean_of_judged(marks: Marks) -> Marks:
    judged = np.isfinite(marks).sum(0)
    total = np.where(np.isfinite(marks), marks, 0.0).sum(0)
    return np.asarray(np.divide(total, judged, out=np.full(marks.shape[1], np.nan), where=judged > 0))


def as_scored(answers: Sequence[Answer], category: Category) -> Scored:
    """The reward model's totals of each answer."""
    totals = [answer.scores[category] for answer in answers]
    return Scored(
        np.array([of_answer.segments for of_answer in totals], dtype=np.float64),
        np.array([of_answer.predicted for of_answer in totals], dtype=np.float64),
    )


def as_labelled(answers: Sequence[Answer], category: Category, *, all_drawn: bool = False) -> Labelled:
    """People's totals of each judged answer; with `all_drawn`, all count as drawn with the same probability."""
    labelled = [answer for answer in answers if category in answer.judged]
    totals = [answer.judged[category] for answer in labelled]
    probability = [1.0 if all_drawn else answer.probability for answer in labelled]
    return Labelled(
        np.array([of_answer.segments for of_answer in totals], dtype=np.float64),
        np.array([of_answer.errors for of_answer in totals], dtype=np.float64),
        np.array([of_answer.predicted for of_answer in totals], dtype=np.float64),
        np.array(probability, dtype=np.float64),
    )
