"""Agreement measured on everything that a store holds."""

import asyncio
from typing import Any

from service.feedback.agreement.measures import Rating, full_report
from service.feedback.store.annotators import key_of
from service.feedback.store.feedback_store import FeedbackStore

_PAGE = 100
"""Rows read at once. Turning them into records blocks the event loop for a few milliseconds."""


async def load_ratings(store: FeedbackStore) -> tuple[list[Rating], dict[str, dict[str, Any]]]:
    """Every annotator's latest annotation of each response, and the `scores` of these responses by id.

    Raises StoreFailed.
    """
    texts: dict[str, tuple[str, str]] = {}
    """The question and the text of each response."""
    scores: dict[str, dict[str, Any]] = {}
    cursor = None
    while True:
        responses = await store.responses(cursor, _PAGE, annotated=True)
        for response in responses.items:
            texts[response.id] = (response.question, response.text)
            if response.scored is not None:
                scores[response.id] = response.scored["scores"]
        cursor = responses.next
        if cursor is None:
            break
    ratings: dict[tuple[str, str], Rating] = {}
    names: dict[str, str] = {}
    """The first spelling of each name. In old stores a person may have two that differ in case alone."""
    while True:
        page = await store.annotations(cursor, _PAGE, latest=True)
        for annotation in page.items:
            if annotation.response_id not in texts:  # a response annotated since the first loop counts next time
                continue
            key = key_of(annotation.annotator)
            ratings[annotation.response_id, key] = Rating(
                response_id=annotation.response_id,
                question=texts[annotation.response_id][0],
                text=texts[annotation.response_id][1],
                annotator=names.setdefault(key, annotation.annotator),
                spans=tuple((error.label, error.start, error.end) for error in annotation.errors),
                missing=bool(annotation.missing),
                created=annotation.created,
            )
        cursor = page.next
        if cursor is None:
            return list(ratings.values()), scores


async def measure_agreement(store: FeedbackStore) -> dict[str, Any]:
    """The report on a store, for the page, the metrics and the command line. Raises StoreFailed."""
    report = await asyncio.to_thread(full_report, *await load_ratings(store))
    return report | {"feedback": (await store.figures()).model_dump(mode="json")}
