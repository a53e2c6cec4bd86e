"""The scored answers of a time, with their labels and the probabilities with which they were drawn."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from service.feedback.records import JudgedSentence, Page, StoredAnnotation, TrafficResponse
from service.feedback.store import annotators
from service.feedback.store.paging import fetch_page
from service.feedback.store.rows import annotation_of
from service.feedback.store.sampling.draw_keys import DRAWING, Draw, Levels
from service.feedback.store.tables import Annotation, Assignment, Response, Score


async def traffic_page(
    session: AsyncSession, since: datetime | None, cursor: str | None, limit: int, profile: str | None, levels: Levels
) -> Page[TrafficResponse]:
    """A page of served responses that can be annotated; those without scores are left out.

    Only those stored since a time, and of a profile, if asked. Raises InvalidRequest for a wrong cursor.
    """
    query = select(Response).where(Response.source == "served", Response.annotatable)
    if since is not None:
        query = query.where(Response.created >= since)
    if profile is not None:
        query = query.where(Response.profile == profile)
    rows, following = await fetch_page(session, query, Response, cursor, limit)
    ids = [row.id for row in rows]
    scores = await _latest_scores(session, ids)
    judgements = await _judgements(session, ids)
    annotations, drawn = await _latest_annotations(session, ids), await _drawn(session, ids)
    items = [
        TrafficResponse(
            id=row.id,
            created=row.created,
            profile=row.profile,
            policy=row.policy,
            text=row.text if row.id in annotations else "",
            scores=scores[row.id][1],
            rewards=scores[row.id][0],
            annotations=tuple(annotations.get(row.id, ())),
            judgements=tuple(sentences for _, sentences in judgements.get(row.id, ())),
            judged_at=max((at for at, _ in judgements.get(row.id, ())), default=None),
            probability=_probability(row, drawn.get(row.id), levels),
        )
        for row in rows
        if row.id in scores
    ]
    return Page(items=tuple(items), next=following)


async def reached_levels(session: AsyncSession, since: datetime | None) -> Levels:
    """How far the orders have come with the responses stored since a time."""
    query = (
        select(Assignment.sampling_order, Response.profile, Assignment.created, Assignment.sampling_level)
        .join(Response, Response.id == Assignment.response_id)
        .where(Assignment.sampling_order.in_(DRAWING))
    )
    if since is not None:
        query = query.where(Assignment.created >= since)
    return Levels(Draw(row[0] or "", row[1], row[2], row[3] or 0.0) for row in await session.execute(query))


async def start_of_the_last(session: AsyncSession, number: int) -> datetime | None:
    """When the earliest of the last so many responses was stored; None if there are no more than these."""
    query = select(Response.created).order_by(Response.created.desc(), Response.id.desc())
    return await session.scalar(query.offset(number).limit(1))


async def _latest_scores(session: AsyncSession, ids: Collection[str]) -> dict[str, tuple[str, dict[str, Any]]]:
    """The latest scores of each response by category, after the version of the reward models that gave them."""
    columns = Score.response_id, Score.rewards, Score.json
    query = select(*columns).where(Score.response_id.in_(ids)).order_by(Score.created)
    return {response_id: (rewards, scored["scores"]) for response_id, rewards, scored in await session.execute(query)}


async def _latest_annotations(session: AsyncSession, ids: Sequence[str]) -> dict[str, list[StoredAnnotation]]:
    query = select(Annotation).where(Annotation.response_id.in_(ids)).order_by(Annotation.version)
    latest = {(row.response_id, row.annotator_id): row for row in await session.scalars(query)}
    names = await annotators.names(session) if latest else {}
    by_response = defaultdict(list)
    for row in latest.values():
        by_response[row.response_id].append(annotation_of(row, names[row.annotator_id]))
    return by_response


async def _judgements(
    session: AsyncSession, ids: Collection[str]
) -> dict[str, list[tuple[datetime, tuple[JudgedSentence, ...]]]]:
    """When and what annotators said of the sentences of each response, of those who have not annotated it."""
    same = (Annotation.response_id == Assignment.response_id, Annotation.annotator_id == Assignment.annotator_id)
    query = select(Assignment).where(Assignment.response_id.in_(ids), Assignment.judged.is_not(None))
    by_response = defaultdict(list)
    for row in await session.scalars(query.where(~exists().where(*same))):
        sentences = tuple(JudgedSentence.model_validate(sentence) for sentence in row.judged or ())
        by_response[row.response_id].append((row.updated, sentences))
    return by_response


async def _drawn(session: AsyncSession, ids: Collection[str]) -> dict[str, float]:
    """With what probability each response that was drawn at random had been drawn at the time."""
    query = select(Assignment.response_id, Assignment.sampling_rate * Assignment.sampling_level)
    query = query.where(Assignment.response_id.in_(ids), Assignment.sampling_order.is_not(None))
    return {row[0]: row[1] or 0.0 for row in await session.execute(query)}


def _probability(row: Response, then: float | None, levels: Levels) -> float | None:
    """With what probability it would have been drawn by now, which grows as the orders go on; None if it was not."""
    if then is None:
        return None
    return max(min(1.0, then), levels.probability(row.created, row.profile, row.uncertainty or 0.0))
