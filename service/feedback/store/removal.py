"""Deleting a person's data, a response, and old responses. Call these inside a writing transaction."""

from datetime import datetime

from sqlalchemy import ColumnElement, CursorResult, Delete, delete, exists, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from service.feedback.errors import HasFeedback
from service.feedback.store import annotators
from service.feedback.store.responses import update_disagreement
from service.feedback.store.tables import (
    Annotation,
    Annotator,
    Assignment,
    Audit,
    Comparison,
    QuickFeedback,
    Response,
    SkippedPair,
)


async def delete_person(session: AsyncSession, name: str) -> dict[str, int]:
    """Delete everything by the annotator of that name and the caller of that id. Returns the rows deleted by kind.

    A caller's responses are deleted with everybody's feedback on them, because it quotes the caller's questions.
    """
    people = annotators.ids_of(name)
    names = [name, *await session.scalars(select(Annotator.name).where(Annotator.id.in_(people)))]
    by_person = select(Annotation.response_id).where(Annotation.annotator_id.in_(people))
    annotated = (await session.scalars(select(Response).where(Response.id.in_(by_person)))).all()
    deleted = {}
    for kind, query in {
        "annotations": delete(Annotation).where(Annotation.annotator_id.in_(people)),
        "comparisons": delete(Comparison).where(Comparison.annotator_id.in_(people)),
        "skipped_pairs": delete(SkippedPair).where(SkippedPair.annotator_id.in_(people)),
        "assignments": delete(Assignment).where(Assignment.annotator_id.in_(people)),
        "quick_feedback": delete(QuickFeedback).where(QuickFeedback.caller == name),
        "responses": delete(Response).where(Response.caller == name),
        "annotators": delete(Annotator).where(Annotator.id.in_(people)),
    }.items():
        deleted[kind] = await _delete(session, query)
        if kind == "annotations":
            for response in annotated:
                await update_disagreement(session, response)
            await session.flush()
    # The names that the key owned become free; the people behind them stay.
    await session.execute(update(Annotator).where(Annotator.caller == name).values(caller=None))
    await session.execute(update(Audit).where(Audit.who.in_(names)).values(who=None))
    return deleted


async def delete_response(session: AsyncSession, response_id: str) -> bool:
    """Delete a response with its scores. Returns whether there was one. Raises HasFeedback, having deleted nothing."""
    if await _delete(session, delete(Response).where(Response.id == response_id, ~_has_feedback())):
        return True
    if await session.get(Response, response_id) is None:
        return False
    raise HasFeedback(
        f"There is feedback on response {response_id[:64]!r}, so it stays; an operator can delete all of a key with "
        "`fgctl feedback delete-person`.",
        "response_id",
    )


async def prune(session: AsyncSession, older_than: datetime, everything: bool) -> int:
    """Delete responses stored before a time, those with feedback only if `everything`. Returns how many."""
    query = delete(Response).where(Response.created < older_than)
    if not everything:
        query = query.where(~_has_feedback())
    return await _delete(session, query)


def _has_feedback() -> ColumnElement[bool]:
    """Whether anybody has given feedback on a response, or begun to."""
    begun = exists().where(Assignment.response_id == Response.id, Assignment.state.in_(("drafted", "submitted")))
    compared = exists().where(or_(Comparison.a == Response.id, Comparison.b == Response.id))
    return or_(
        begun,
        compared,
        exists().where(Annotation.response_id == Response.id),
        exists().where(QuickFeedback.response_id == Response.id),
    )


async def _delete(session: AsyncSession, query: Delete) -> int:
    result = await session.execute(query.execution_options(synchronize_session=False))
    return result.rowcount if isinstance(result, CursorResult) else 0
