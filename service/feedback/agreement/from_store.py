"""All that a store holds, as the arithmetic of agreement takes it."""

import asyncio
from typing import Any

from service.feedback.agreement.measures import Rating, report
from service.feedback.store.feedback_store import FeedbackStore

_PAGE = 100
"""Rows made into records at once: some milliseconds, in which the service answers nobody else."""


async def judgements(store: FeedbackStore) -> tuple[list[Rating], dict[str, dict[str, Any]]]:
    """Everybody's last judgement of each response, and the reward models' `scores` of these responses by id.

    Raises StoreFailed.
    """
    texts: dict[str, str] = {}
    scored: dict[str, dict[str, Any]] = {}
    cursor = None
    while True:
        responses = await store.responses(cursor, _PAGE, annotated=True)
        for one in responses.items:
            texts[one.id] = one.text
            if one.scored is not None:
                scored[one.id] = one.scored["scores"]
        cursor = responses.next
        if cursor is None:
            break
    found: list[Rating] = []
    while True:
        page = await store.annotations(cursor, _PAGE, latest=True)
        found += [
            Rating(
                response_id=one.response_id,
                text=texts[one.response_id],
                annotator=one.annotator,
                spans=tuple((span.label, span.start, span.end) for span in one.errors),
                missing=bool(one.missing),
                created=one.created,
            )
            for one in page.items
            if one.response_id in texts  # what was annotated since the responses were read counts the next time
        ]
        cursor = page.next
        if cursor is None:
            return found, scored


async def agreement(store: FeedbackStore) -> dict[str, Any]:
    """The report of service.feedback.agreement on a store, for the page, the metrics and the command line."""
    return await asyncio.to_thread(report, *await judgements(store))
