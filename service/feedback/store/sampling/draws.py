"""Which answer is drawn next for the error rate, and the record of a draw. Call these inside a writing transaction."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, and_, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from service.feedback.store.sampling.draw_keys import DRAWING, ERROR_RATE, draw_rate
from service.feedback.store.tables import Assignment, Response

WINDOW = timedelta(days=30)
"""The error rate is that of the answers since then; older ones are not drawn for it."""


def drawn_for_the_error_rate(now: datetime, *, by_time: bool = True) -> ColumnElement[bool]:
    """Whether a response is among those whose error rate is estimated: served, scored and recent.

    Without `by_time` a database cannot use an index on the time to find them.
    """
    created = Response.created if by_time else func.coalesce(Response.created, Response.created)
    return and_(Response.source == "served", created > now - WINDOW, Response.draw_key.is_not(None))


async def next_for_the_error_rate(session: AsyncSession, offered: Select[str], now: datetime) -> str | None:
    """The response to label next among those offered: of the profile with the fewest draws, the one of the lowest key.

    None if there is none left.
    """
    # By the index on the keys, of which the first is wanted: by time, all of WINDOW would be found and sorted.
    offered = offered.where(drawn_for_the_error_rate(now, by_time=False))
    for profile in await _profiles(session, now):
        query = offered.where(Response.profile == profile).order_by(Response.draw_key).limit(1)
        if (response_id := await session.scalar(query)) is not None:
            return response_id
    return None


async def record_draw(session: AsyncSession, assignment: Assignment, order: str) -> None:
    """Note in an assignment what its response's probability of being handed out follows from."""
    response = await session.get(Response, assignment.response_id)
    if response is None or response.source != "served" or order not in DRAWING:
        return
    by_rate = order == ERROR_RATE and response.uncertainty is not None
    assignment.sampling_order = order
    assignment.sampling_rate = draw_rate(response.uncertainty or 0.0) if by_rate else 1.0
    assignment.sampling_level = response.draw_key if by_rate else response.lot


async def _profiles(session: AsyncSession, now: datetime) -> list[str]:
    """The profiles of the responses served since WINDOW, those with the fewest draws since then first."""
    profiles: list[str] = []
    while True:
        query = select(func.min(Response.profile)).where(Response.source == "served")
        profile = await session.scalar(query.where(Response.profile > profiles[-1]) if profiles else query)
        if profile is None:
            break
        profiles.append(profile)
    latest = select(func.max(Response.created)).where(Response.source == "served")
    recent = []
    for profile in profiles:
        created = await session.scalar(latest.where(Response.profile == profile))
        if created is not None and created > now - WINDOW:
            recent.append(profile)
    counted = (
        select(Response.profile, func.count())
        .select_from(Assignment)
        .join(Response, Response.id == Assignment.response_id)
        .where(Assignment.sampling_order.in_(DRAWING), Assignment.created > now - WINDOW)
        .group_by(Response.profile)
    )
    draws = {row[0]: row[1] for row in await session.execute(counted)}
    return sorted(recent, key=lambda profile: draws.get(profile, 0))
