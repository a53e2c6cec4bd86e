"""How well the reward models agree with support labels, beside lexical overlap: the figures of other people's data."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rewards.categories import Category
from rewards.dataset import question_key
from rewards.models.feedback_rewards import FeedbackRewards
from rewards.quality.few_labels import CALIBRATED_ON, calibration
from rewards.quality.judged_segments import JudgedSegments
from rewards.quality.support_labels import LabelledResponse
from rewards.statistics.agreement_with_people import binary_agreement, roc_auc, rounded

_DRAWS = 100


def agreement(
    responses: Sequence[LabelledResponse], judged: Mapping[Category, JudgedSegments], rewards: FeedbackRewards
) -> dict[str, Any]:
    """Agreement by category, in the format of rewards.evaluation.evaluate, with two more figures.

    `overlap_auc` is that of the share of a segment's words that stand in no passage. `after_50_labels` is the
    calibration error of the others after a recalibration on 50 labelled answers, None for fewer than twice as many.
    `protocol` says `in-sample` if the models were fitted on some of the questions.
    """
    questions = [question_key(response.question or response.response) for response in responses]
    numbers = np.unique(questions, return_inverse=True)[1]
    seen = not set(questions).isdisjoint(rewards.fitted.questions)
    return {"protocol": "in-sample" if seen else "held-out"} | {
        category: _figures(segments, numbers[segments.answer], rewards.operating_points[category].threshold)
        for category, segments in judged.items()
    }


def _figures(segments: JudgedSegments, question: Any, threshold: float) -> dict[str, Any]:
    question = np.unique(question, return_inverse=True)[1]
    figures = binary_agreement(
        segments.errors,
        segments.probabilities,
        segments.probabilities >= threshold,
        question,
        int(question.max()) + 1,
    )
    enough = len(np.unique(segments.answer)) >= 2 * CALIBRATED_ON
    return figures | {
        "baselines": {"no_error": rounded(1 - segments.errors.mean())},
        "overlap_auc": roc_auc(segments.errors, 1 - segments.overlap),
        "after_50_labels": calibration(segments, _DRAWS)["after"] if enough else None,
    }
