"""Which response an annotator gets next, and which pair. Call these inside a writing transaction.

Served responses come before imported ones, which are there to be learned from and are mostly annotated.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, exists, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from service.domain.hash_sampling import draw
from service.feedback.records import Order, Side, WorkKind
from service.feedback.store.sampling.draws import drawn_for_the_error_rate, next_for_the_error_rate, record_draw
from service.feedback.store.tables import Annotation, Assignment, Comparison, Response, SkippedPair

BEGUN = ("open", "drafted")
MOST_COUNTED = 1000
"""Nobody needs to know how many more are left, and counting takes time."""
SOURCES = ("served", "imported")
"""In the order in which their responses are handed out."""
STALE = timedelta(days=1)
"""A response that was handed out but not begun for this long also goes to others."""


async def next_assignment(
    session: AsyncSession, annotator: int, order: Order, overlap: float, now: datetime, *, quick: bool = False
) -> Assignment | None:
    """The assignment the annotator has open or drafted, else a new one; None when nothing is left.

    With `quick`, for judging sentences alone, drafts of annotations stay where they are.

    A response goes to one annotator, and to two if it is among the `overlap` share. The order `disagreed` also offers a
    second annotator what another has annotated and somebody disagrees on. The orders `sampled` and `error_rate` draw at
    random, and record the draw.
    """
    begun = ("open",) if quick else BEGUN
    own = select(Assignment).where(Assignment.annotator_id == annotator, Assignment.state.in_(begun))
    if (current := await session.scalar(own.order_by(Assignment.updated.desc()).limit(1))) is not None:
        return current
    offered = _offered(annotator, order, overlap, now)
    if order == "error_rate":
        response_id = await next_for_the_error_rate(session, offered, now)
    else:
        response_id = await _first(session, offered, order)
    if response_id is None:
        return None
    assignment = await assignment_of(session, response_id, annotator, now)
    await record_draw(session, assignment, order)
    return assignment


async def _first(session: AsyncSession, offered: Select[str], order: Order) -> str | None:
    """The first of the responses offered in an order other than `error_rate`: of those it ranks, else of all."""
    ranks = {"sampled": (), "uncertain": (Response.uncertainty,), "disagreed": (Response.disagreement,)}[order]
    # In one query all those without a rank, which may be millions, would be sorted by lot.
    queries = [offered.where(rank.is_not(None)).order_by(rank.desc(), Response.lot) for rank in ranks]
    queries.append(offered.order_by(Response.lot))
    for source in SOURCES:
        for query in queries:
            if (response_id := await session.scalar(query.where(Response.source == source).limit(1))) is not None:
                return response_id
    return None


async def left(session: AsyncSession, annotator: int, order: Order, overlap: float, now: datetime) -> int:
    """How many responses the annotator has begun or would get; MOST_COUNTED stands for as many or more."""
    begun = select(func.count()).select_from(Assignment)
    begun = begun.where(Assignment.annotator_id == annotator, Assignment.state.in_(BEGUN))
    offered = _offered(annotator, order, overlap, now)
    offered = offered.where(drawn_for_the_error_rate(now)) if order == "error_rate" else offered
    counted = select(func.count()).select_from(offered.limit(MOST_COUNTED).subquery())
    counts = [await session.scalar(begun), await session.scalar(counted)]
    return min(MOST_COUNTED, sum(count or 0 for count in counts))


def _offered(annotator: int, order: Order, overlap: float, now: datetime) -> Select[str]:
    """The ids of the responses that an annotator may get, of which the order `error_rate` takes some."""
    mine = exists().where(Assignment.response_id == Response.id, Assignment.annotator_id == annotator)
    annotated = exists().where(Annotation.response_id == Response.id, Annotation.annotator_id == annotator)
    free: ColumnElement[bool] = _people(now) < case((Response.overlap_lot < overlap, 2), else_=1)
    if order == "disagreed":
        free = or_(free, and_(Response.disagreement > 0, _people(now) < 2))
    return select(Response.id).where(Response.annotatable, ~mine, ~annotated, free)


async def done(session: AsyncSession, kind: WorkKind, annotator: int, since: datetime | None) -> tuple[int, int]:
    """How many responses the annotator has annotated or judged, or pairs compared, and how many since a time."""
    if kind == "judgement":
        mine = Assignment.annotator_id == annotator
        judged = select(func.count()).select_from(Assignment).where(mine, Assignment.judged.is_not(None))
        every = await session.scalar(judged) or 0
        return every, every if since is None else await session.scalar(judged.where(Assignment.updated >= since)) or 0
    table = Annotation if kind == "annotation" else Comparison
    unit: Any = (
        Annotation.response_id
        if kind == "annotation"
        else case(
            (Comparison.a < Comparison.b, Comparison.a + " " + Comparison.b), else_=Comparison.b + " " + Comparison.a
        )
    )
    query = select(func.count(unit.distinct())).where(table.annotator_id == annotator)
    whole = await session.scalar(query) or 0
    return whole, whole if since is None else await session.scalar(query.where(table.created >= since)) or 0


async def assignment_of(session: AsyncSession, response_id: str, annotator_id: int, now: datetime) -> Assignment:
    """The annotator's assignment of a response, created if there is none, and marked as updated now."""
    assignment = await session.get(Assignment, (response_id, annotator_id))
    if assignment is None:
        assignment = Assignment(
            response_id=response_id, annotator_id=annotator_id, state="open", created=now, updated=now
        )
        session.add(assignment)
    assignment.updated = now
    return assignment


def _people(now: datetime) -> ColumnElement[int]:
    """How many annotators have a response or had it; those who skipped it do not count."""
    count = select(func.count()).select_from(Assignment).where(
        Assignment.response_id == Response.id,
        or_(
            Assignment.state.in_(("drafted", "submitted")),
            and_(Assignment.state == "open", Assignment.updated > now - STALE),
        ),
    )  # fmt: skip
    return count.correlate(Response).scalar_subquery()


async def next_pair(session: AsyncSession, annotator: int) -> tuple[Response, Response] | None:
    """Two different responses to the same prompt that the annotator has neither compared nor skipped; None if there are
    none.

    A pair with an imported response is offered only if nobody has compared it: files bring comparisons along.
    """
    for pairs in _pairs(annotator):
        row = (await session.execute(pairs.limit(1))).first()
        if row is not None:
            return row[0], row[1]
    return None


async def pairs_left(session: AsyncSession, annotator: int) -> int:
    """How many pairs the annotator would get; MOST_COUNTED stands for as many or more."""
    queries = [pairs.with_only_columns(literal(1)).limit(MOST_COUNTED) for pairs in _pairs(annotator)]
    return min(MOST_COUNTED, sum([len((await session.execute(query)).all()) for query in queries]))


def _pairs(annotator: int) -> tuple[Select[Response, Response], Select[Response, Response]]:
    """The pairs of served responses that an annotator may get, and those with an imported one."""
    a, b = aliased(Response), aliased(Response)
    both = ((a.id, b.id), (b.id, a.id))
    skipped = [
        exists().where(SkippedPair.annotator_id == annotator, SkippedPair.a == x, SkippedPair.b == y) for x, y in both
    ]
    compared = [exists().where(Comparison.a == x, Comparison.b == y) for x, y in both]
    mine = [exists().where(Comparison.annotator_id == annotator, Comparison.a == x, Comparison.b == y) for x, y in both]
    query = (
        select(a, b)
        .join(b, and_(a.prompt_key == b.prompt_key, a.text_key != b.text_key))
        .where(a.annotatable, b.annotatable, *(~each for each in skipped))
        .order_by(a.lot, b.lot)
    )
    once = or_(b.source == "served", a.id < b.id)
    return (
        query.where(a.source == "served", b.source == "served", a.id < b.id, *(~each for each in mine)),
        query.where(a.source == "imported", once, *(~each for each in compared)),
    )


def of_pair(a: Any, b: Any) -> ColumnElement[bool]:
    """Whether a comparison is of these two responses, in either order."""
    return or_(and_(Comparison.a == a, Comparison.b == b), and_(Comparison.a == b, Comparison.b == a))


def shown_first(a: str, b: str, annotator: str) -> Side:
    """Which of a pair an annotator sees first: drawn by a hash, so the client's word is not needed when it submits."""
    low, high = sorted((a, b))
    first = low if draw(f"{low} {high} {annotator}") < 0.5 else high
    return "a" if first == a else "b"
