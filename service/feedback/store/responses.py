"""Writing responses and scores, and finding them. The writing functions need a writing transaction."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from service.feedback.errors import NotStored
from service.feedback.records import NewResponse, NewScores, StoredResponse
from service.feedback.store.annotation_priority import derived_columns, disagreement, uncertainty
from service.feedback.store.paging import next_moment
from service.feedback.store.rows import response_of
from service.feedback.store.sampling.draw_keys import draw_key
from service.feedback.store.tables import Annotation, Response, Score


async def find(session: AsyncSession, response_id: str) -> Response:
    """The row of a response. Raises NotStored."""
    row = await session.get(Response, response_id)
    if row is None:
        raise NotStored(f"There is no response {response_id[:64]!r} in the feedback store.", "response_id")
    return row


async def with_scores(session: AsyncSession, row: Response) -> StoredResponse:
    """A response with its latest scores."""
    return response_of(row, await _latest_score(session, row.id))


async def add_new(session: AsyncSession, responses: Sequence[NewResponse], now: datetime) -> int:
    """Add the responses whose ids are not in the store, in the order given. Returns how many were added."""
    by_id = {response.id: response for response in reversed(responses)}  # the first of an id counts
    stored = set(await session.scalars(select(Response.id).where(Response.id.in_(by_id))))
    created = await next_moment(session, Response, now)
    new = [response for response in reversed(by_id.values()) if response.id not in stored]
    for place, response in enumerate(new):
        row = row_of(response)
        row.created = created + timedelta(microseconds=place)
        session.add(row)
    await session.flush()
    return len(new)


def row_of(response: NewResponse) -> Response:
    """The row of a new response, which lacks only its time."""
    columns = derived_columns(response.id, response.question, response.passages, response.text)
    return Response(**response.model_dump(mode="json"), **columns)


async def add_scores(session: AsyncSession, new: NewScores, now: datetime) -> None:
    """Add scores, unless the response is unknown or has scores by the same reward models."""
    row = await session.get(Response, new.response_id)
    if row is None or await session.get(Score, (new.response_id, new.rewards)) is not None:
        return
    session.add(
        Score(
            response_id=new.response_id,
            rewards=new.rewards,
            labels=new.labels,
            json=new.scored,
            created=await next_moment(session, Score, now),
        )
    )
    await session.flush()
    row.uncertainty = uncertainty(new.scored)
    row.draw_key = draw_key(row.lot, row.uncertainty)
    await update_disagreement(session, row)


async def update_disagreement(session: AsyncSession, row: Response) -> None:
    """Recompute how far the raters of a response disagree, after its scores or annotations have changed."""
    score = await _latest_score(session, row.id)
    versions = select(Annotation).where(Annotation.response_id == row.id).order_by(Annotation.version)
    latest = {annotation.annotator_id: annotation.errors for annotation in await session.scalars(versions)}
    row.disagreement = disagreement(score.json if score else None, list(latest.values()))


async def _latest_score(session: AsyncSession, response_id: str) -> Score | None:
    query = select(Score).where(Score.response_id == response_id)
    return (await session.scalars(query.order_by(Score.created.desc()).limit(1))).first()
