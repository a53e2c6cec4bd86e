"""Pages of feedback, filtered, and counts of everything. Raises InvalidRequest for a cursor that no page gave."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Select, exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from service.feedback.records import (
    Counts,
    NewResponse,
    Page,
    StoredAnnotation,
    StoredComparison,
    StoredQuick,
    StoredResponse,
)
from service.feedback.store import annotators, responses
from service.feedback.store.paging import fetch_page
from service.feedback.store.rows import annotation_of, comparison_of, quick_of, recorded_of
from service.feedback.store.tables import Annotation, Annotator, Comparison, QuickFeedback, Response, Score

_AT_ONCE = 1000
"""Ids in one query."""


async def response_page(session: AsyncSession, cursor: str | None, limit: int, annotated: bool) -> Page[StoredResponse]:
    """A page of responses with their latest scores, only of annotated ones if asked."""
    query = select(Response)
    if annotated:
        query = query.where(exists().where(Annotation.response_id == Response.id))
    rows, following = await fetch_page(session, query, Response, cursor, limit)
    return Page(items=tuple([await responses.with_scores(session, row) for row in rows]), next=following)


async def recorded(session: AsyncSession, response_ids: Collection[str]) -> dict[str, NewResponse]:
    """The responses of these ids as they were recorded, by id."""
    ids = list(response_ids)
    stored: dict[str, NewResponse] = {}
    for start in range(0, len(ids), _AT_ONCE):
        query = select(Response).where(Response.id.in_(ids[start : start + _AT_ONCE]))
        stored.update({row.id: recorded_of(row) for row in await session.scalars(query)})
    return stored


async def annotation_page(
    session: AsyncSession,
    cursor: str | None,
    limit: int,
    response_id: str | None,
    annotator: str | None,
    latest: bool,
) -> Page[StoredAnnotation]:
    """A page of annotations, only of a response, by an annotator or of latest versions if asked."""
    query = select(Annotation)
    if response_id is not None:
        query = query.where(Annotation.response_id == response_id)
    if latest:
        later = aliased(Annotation)
        same = (later.response_id == Annotation.response_id, later.annotator_id == Annotation.annotator_id)
        query = query.where(~exists().where(*same, later.version > Annotation.version))
    rows, following = await fetch_page(session, _by(query, Annotation, annotator), Annotation, cursor, limit)
    names = await annotators.names(session)
    return Page(items=tuple(annotation_of(row, names[row.annotator_id]) for row in rows), next=following)


async def comparison_page(
    session: AsyncSession, cursor: str | None, limit: int, annotator: str | None
) -> Page[StoredComparison]:
    """A page of comparisons, only by an annotator if asked."""
    query = _by(select(Comparison), Comparison, annotator)
    rows, following = await fetch_page(session, query, Comparison, cursor, limit)
    names = await annotators.names(session)
    return Page(items=tuple(comparison_of(row, names[row.annotator_id]) for row in rows), next=following)


async def quick_feedback_page(
    session: AsyncSession, cursor: str | None, limit: int, response_id: str | None
) -> Page[StoredQuick]:
    """A page of quick feedback, only on a response if asked."""
    query = select(QuickFeedback)
    if response_id is not None:
        query = query.where(QuickFeedback.response_id == response_id)
    rows, following = await fetch_page(session, query, QuickFeedback, cursor, limit)
    return Page(items=tuple(quick_of(row) for row in rows), next=following)


async def counts(session: AsyncSession) -> Counts:
    """How much the store holds."""
    sizes = {
        "responses": select(func.count(Response.id)),
        "scored": select(func.count(Score.response_id.distinct())),
        "annotatable": select(func.count(Response.id)).where(Response.annotatable),
        "annotated": select(func.count(Annotation.response_id.distinct())),
        "annotations": select(func.count(Annotation.id)),
        "annotators": select(func.count(Annotator.id)),
        "quick_feedback": select(func.count(QuickFeedback.id)),
        "comparisons": select(func.count(Comparison.id)),
    }
    return Counts.model_validate({name: await session.scalar(query) for name, query in sizes.items()})


def _by(query: Select[Any], table: Any, annotator: str | None) -> Select[Any]:
    return query if annotator is None else query.where(table.annotator_id.in_(annotators.ids_of(annotator)))
