"""The scored answers of a store with people's judgements, as the sampling units of an error rate."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from rewards.categories import BUILT_IN, Category
from rewards.quality.answers import Answer, judged_totals, mean_marks, scored_totals, spans_of
from rewards.quality.support_labels import Marks
from service.feedback.agreement.ratings import Rating, error_mask
from service.feedback.records import JudgedSentence, StoredAnnotation, TrafficResponse
from service.feedback.store.feedback_store import FeedbackStore

_PAGE = 200
"""Rows read at once, so that the event loop is not blocked for long."""


@dataclass(frozen=True)
class TrafficAnswer:
    """A served answer: who gave it, what the models and people say of it, and when the latest of them spoke."""

    profile: str
    policy: str
    answer: Answer
    rewards: str = ""
    """Version of the reward models that gave its scores."""
    labelled_at: datetime | None = None


async def load_traffic(
    store: FeedbackStore, since: datetime | None = None, profile: str | None = None
) -> list[TrafficAnswer]:
    """Every served and scored answer that can be annotated, stored since a time if asked, of a profile if asked.

    Raises StoreFailed.
    """
    answers: list[TrafficAnswer] = []
    cursor = None
    levels = await store.sampling_levels(since)
    while True:
        page = await store.traffic(levels, since, cursor, _PAGE, profile=profile)
        answers += await asyncio.to_thread(_answers, page.items)
        if (cursor := page.next) is None:
            return scaled(answers)


def scaled(answers: Sequence[TrafficAnswer]) -> list[TrafficAnswer]:
    """The answers with probabilities such that, in each profile, the inverses sum to the answers nobody chose.

    The orders draw within profiles, and the level that an order has reached is known only up to chance.
    """
    number = Counter(traffic.profile for traffic in answers)
    inverses: dict[str, float] = defaultdict(float)
    for traffic in answers:
        if traffic.answer.judged and traffic.answer.probability > 0:
            inverses[traffic.profile] += 1 / traffic.answer.probability
        elif traffic.answer.judged:
            number[traffic.profile] -= 1
    return [
        replace(
            traffic,
            answer=replace(
                traffic.answer,
                probability=traffic.answer.probability * inverses[traffic.profile] / max(number[traffic.profile], 1),
            ),
        )
        if traffic.answer.probability > 0
        else traffic
        for traffic in answers
    ]


def _answers(responses: Sequence[TrafficResponse]) -> list[TrafficAnswer]:
    return [_answer(response) for response in responses]


def _answer(response: TrafficResponse) -> TrafficAnswer:
    opinions = [_marks(response, annotation) for annotation in response.annotations]
    opinions += [_judged_marks(response, sentences) for sentences in response.judgements]
    times = [*(annotation.created for annotation in response.annotations), response.judged_at]
    return TrafficAnswer(
        response.profile or "",
        response.policy or "",
        Answer(
            scored_totals(response.scores),
            judged_totals(response.scores, mean_marks(opinions)),
            float("nan") if response.probability is None else response.probability,
        ),
        response.rewards,
        max(filter(None, times), default=None),
    )


def _judged_marks(response: TrafficResponse, sentences: Sequence[JudgedSentence]) -> Mapping[Category, Marks]:
    """What a judgement of sentences says: whether each is a factual error, where the annotator could tell."""
    if "factuality" not in response.scores:
        return {}
    supported = {(sentence.start, sentence.end): sentence.supported for sentence in sentences}
    judged = [supported.get(span) for span in spans_of(response.scores, "factuality")]
    return {"factuality": np.array([np.nan if says is None else float(not says) for says in judged], dtype=np.float64)}


def _marks(response: TrafficResponse, annotation: StoredAnnotation) -> Mapping[Category, Marks]:
    """What a full annotation says: every segment of the built-in categories is marked or not."""
    rating = Rating(
        response_id=response.id,
        text=response.text,
        annotator=annotation.annotator,
        spans=tuple((error.label, error.start, error.end) for error in annotation.errors),
        missing=bool(annotation.missing),
        created=annotation.created,
    )
    return {
        category: error_mask(rating, category, spans_of(response.scores, category)).astype(np.float64)
        for category in BUILT_IN
        if category in response.scores
    }
