"""Deleting: a person's data, and answers that were kept long enough. Run while writing."""

from datetime import datetime

from sqlalchemy import ColumnElement, CursorResult, Delete, delete, exists, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from service.feedback.store.submissions import refresh
from service.feedback.store.tables import Annotation, Annotator, Assignment, Audit, Comparison, QuickFeedback, Response


async def delete_person(session: AsyncSession, name: str) -> dict[str, int]:
    """Delete everything by an annotator of that name and by a caller of that id; how many rows of what.

    A caller's answers go with what anybody said of them, as they quote the caller's questions.
    """
    people = select(Annotator.id).where(Annotator.name == name)
    by_person = select(Annotation.response_id).where(Annotation.annotator_id.in_(people))
    judged = (await session.scalars(select(Response).where(Response.id.in_(by_person)))).all()
    deleted = {}
    for what, query in {
        "annotations": delete(Annotation).where(Annotation.annotator_id.in_(people)),
        "comparisons": delete(Comparison).where(Comparison.annotator_id.in_(people)),
        "assignments": delete(Assignment).where(Assignment.annotator_id.in_(people)),
        "quick_feedback": delete(QuickFeedback).where(QuickFeedback.caller == name),
        "responses": delete(Response).where(Response.caller == name),
        "annotators": delete(Annotator).where(Annotator.name == name),
    }.items():
        deleted[what] = await _rows(session, query)
        if what == "annotations":
            for response in judged:
                await refresh(session, response)
            await session.flush()
    # The names that the key has used are its own no more; the people behind them stay.
    await session.execute(update(Annotator).where(Annotator.caller == name).values(caller=None))
    await session.execute(update(Audit).where(Audit.who == name).values(who=None))
    return deleted


async def prune(session: AsyncSession, older_than: datetime, everything: bool) -> int:
    """Delete answers stored before a time, with `everything` also those that people have judged; how many."""
    query = delete(Response).where(Response.created < older_than)
    if not everything:
        query = query.where(~_judged())
    return await _rows(session, query)


def _judged() -> ColumnElement[bool]:
    """Whether somebody has said something of a response, or begun to."""
    begun = exists().where(Assignment.response_id == Response.id, Assignment.state.in_(("drafted", "submitted")))
    compared = exists().where(or_(Comparison.a == Response.id, Comparison.b == Response.id))
    return or_(
        begun,
        compared,
        exists().where(Annotation.response_id == Response.id),
        exists().where(QuickFeedback.response_id == Response.id),
    )


async def _rows(session: AsyncSession, query: Delete) -> int:
    result = await session.execute(query.execution_options(synchronize_session=False))
    return result.rowcount if isinstance(result, CursorResult) else 0
