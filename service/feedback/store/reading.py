"""Pages of feedback, filtered, and counts of everything. Raises InvalidRequest for a cursor that no page gave."""

from collections import Counter, defaultdict
from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Select, case, exists, func, select, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from service.feedback.figures import DoneResponse, FeedbackFigures, PersonFigures, VersionFigures
from service.feedback.opinions import Opinions, Scored
from service.feedback.records import (
    Counts,
    NewResponse,
    Page,
    StoredAnnotation,
    StoredComparison,
    StoredQuick,
    StoredResponse,
)
from service.feedback.skips import SKIPPED_KINDS, reason_code
from service.feedback.store import annotators, responses
from service.feedback.store.paging import fetch_page
from service.feedback.store.rows import annotation_of, comparison_of, quick_of, recorded_of
from service.feedback.store.tables import (
    Annotation,
    Annotator,
    Assignment,
    Audit,
    Comparison,
    QuickFeedback,
    Response,
    Score,
    SkippedPair,
)

_AT_ONCE = 1000
"""Ids in one query."""
FORGET = "forget_preferences"
"""The audited action by which a caller begins anew."""
_MOST_OPINIONS = 500
"""Thumbs, and comparisons, of a caller that count: the latest."""


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
        "annotatable": _annotatable(),
        "annotated": select(func.count(Annotation.response_id.distinct())),
        "annotations": select(func.count(Annotation.id)),
        "annotators": select(func.count(Annotator.id)),
        "quick_feedback": select(func.count(QuickFeedback.id)),
        "comparisons": select(func.count(Comparison.id)),
    }
    return Counts.model_validate({name: await session.scalar(query) for name, query in sizes.items()})


async def done_last(session: AsyncSession, annotator: int, limit: int) -> tuple[DoneResponse, ...]:
    """The responses that an annotator submitted or skipped last, the latest first."""
    later = aliased(Annotation)
    own = (later.response_id == Annotation.response_id, later.annotator_id == annotator)
    submitted = (
        select(Annotation, Response)
        .join(Response, Response.id == Annotation.response_id)
        .where(Annotation.annotator_id == annotator, ~exists().where(*own, later.version > Annotation.version))
        .order_by(Annotation.created.desc())
        .limit(limit)
    )
    skipped = (
        select(Assignment, Response)
        .join(Response, Response.id == Assignment.response_id)
        .where(Assignment.annotator_id == annotator, Assignment.state == "skipped")
        .order_by(Assignment.updated.desc())
        .limit(limit)
    )
    done = [
        _done(response, annotation.created, len(annotation.errors) + len(annotation.missing), skipped=False)
        for annotation, response in await session.execute(submitted)
    ]
    done += [_done(response, row.updated, 0, skipped=True) for row, response in await session.execute(skipped)]
    return tuple(sorted(done, key=lambda response: response.at, reverse=True)[:limit])


def _done(response: Response, at: datetime, marks: int, *, skipped: bool) -> DoneResponse:
    return DoneResponse(
        response_id=response.id,
        question=response.question,
        at=at,
        skipped=skipped,
        marks=marks,
        profile=response.profile,
    )


async def figures(session: AsyncSession) -> FeedbackFigures:
    """What the store holds, by version and person."""
    names = await annotators.names(session)
    read = (
        select(func.count(Annotation.response_id.distinct()))
        .join(Response, Response.id == Annotation.response_id)
        .where(Response.annotatable)
    )
    left = (await session.scalar(_annotatable()) or 0) - (await session.scalar(read) or 0)
    versions: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for profile, policy, thumb, number in await session.execute(_thumbs()):
        versions[profile, policy]["thumbs_up" if thumb > 0 else "thumbs_down"] += number
    choices: Counter[str] = Counter(a=0, b=0, tie=0, neither=0)
    people: dict[int, Counter[str]] = defaultdict(Counter)
    for annotator, choice, *sides, number in await session.execute(_choices()):
        choices[choice] += number
        people[annotator]["comparisons"] += number
        for side, (profile, policy) in zip("ab", (sides[:2], sides[2:]), strict=True):
            if profile and policy:
                outcome = {side: "wins", "tie": "ties", "neither": "ties"}.get(choice, "losses")
                versions[profile, policy][outcome] += number
    skips: dict[str, Counter[str]] = {kind: Counter() for kind in SKIPPED_KINDS}
    for kind, query in zip(SKIPPED_KINDS, _skips(), strict=True):
        for annotator, reason in await session.execute(query):
            skips[kind][reason_code(reason)] += 1
            people[annotator]["skipped"] += 1
    return FeedbackFigures(
        left=left,
        choices=dict(choices),
        skips={kind: dict(counted) for kind, counted in skips.items()},
        versions=tuple(
            VersionFigures(profile=profile, policy=policy, **counted)
            for (profile, policy), counted in sorted(versions.items())
        ),
        people={names[annotator]: PersonFigures(**counted) for annotator, counted in people.items()},
    )


def _annotatable() -> Select[int]:
    """How many responses can be annotated."""
    return select(func.count()).select_from(Response).where(Response.annotatable)


def _thumbs() -> Select[*tuple[Any, ...]]:
    """Thumbs up and down by version, the latest of each caller on each answer."""
    later = aliased(QuickFeedback)
    same = (later.response_id == QuickFeedback.response_id, later.caller == QuickFeedback.caller)
    by = (Response.profile, Response.policy, QuickFeedback.thumb)
    return (
        select(*by, func.count())
        .join(Response, Response.id == QuickFeedback.response_id)
        .where(QuickFeedback.thumb != 0, Response.profile.is_not(None), Response.policy.is_not(None))
        .where(~exists().where(*same, later.id > QuickFeedback.id))
        .group_by(*by)
    )


def _choices() -> Select[*tuple[Any, ...]]:
    """Comparisons by annotator, choice and both versions, the latest of each annotator and pair."""
    a, b = aliased(Response), aliased(Response)
    forward = Comparison.a < Comparison.b
    pair = (case((forward, Comparison.a), else_=Comparison.b), case((forward, Comparison.b), else_=Comparison.a))
    latest = select(func.max(Comparison.id)).group_by(Comparison.annotator_id, *pair)
    by = (Comparison.annotator_id, Comparison.choice, a.profile, a.policy, b.profile, b.policy)
    return (
        select(*by, func.count())
        .join(a, a.id == Comparison.a)
        .join(b, b.id == Comparison.b)
        .where(Comparison.id.in_(latest))
        .group_by(*by)
    )


def _skips() -> tuple[Select[*tuple[Any, ...]], Select[*tuple[Any, ...]]]:
    """Who skipped, and why: responses, and pairs. Reasons are JSON, by which PostgreSQL does not group."""
    return (
        select(Assignment.annotator_id, Assignment.skip_reason).where(Assignment.state == "skipped"),
        select(SkippedPair.annotator_id, SkippedPair.reason),
    )


def _by(query: Select[Any], table: Any, annotator: str | None) -> Select[Any]:
    return query if annotator is None else query.where(table.annotator_id.in_(annotators.ids_of(annotator)))


async def opinions(session: AsyncSession, caller: str) -> Opinions:
    """The latest thumbs and choices of a caller since it last had them forgotten. Annotators belong to their key."""
    since = await session.scalar(select(func.max(Audit.at)).where(Audit.who == caller, Audit.action == FORGET))
    thumbs: dict[str, int] = {}
    query = select(QuickFeedback).where(QuickFeedback.caller == caller, _after(QuickFeedback, since))
    for thumb in await session.scalars(_latest(query, QuickFeedback)):
        thumbs.setdefault(thumb.response_id, thumb.thumb)
    pairs: dict[tuple[int, frozenset[str]], Comparison] = {}
    own = select(Comparison).join(Annotator).where(Annotator.caller == caller, _after(Comparison, since))
    for comparison in await session.scalars(_latest(own, Comparison)):
        pairs.setdefault((comparison.annotator_id, frozenset((comparison.a, comparison.b))), comparison)
    scores = await _scores(session, {*thumbs, *(name for pair in pairs.values() for name in (pair.a, pair.b))})
    compared = [
        (scores[pair.a], scores[pair.b], pair.choice)
        for pair in pairs.values()
        if pair.a in scores and pair.b in scores
    ]
    return Opinions(
        tuple((scores[name], thumb > 0) for name, thumb in thumbs.items() if thumb and name in scores),
        tuple((a, b) if choice == "a" else (b, a) for a, b, choice in compared if choice in ("a", "b")),
        tuple((a, b) for a, b, choice in compared if choice == "tie"),
        since,
    )


def _after(table: type[QuickFeedback] | type[Comparison], since: datetime | None) -> Any:
    return true() if since is None else table.created > since


def _latest(query: Select[Any], table: type[QuickFeedback] | type[Comparison]) -> Select[Any]:
    return query.order_by(table.created.desc(), table.id.desc()).limit(_MOST_OPINIONS)


async def _scores(session: AsyncSession, response_ids: Collection[str]) -> dict[str, Scored]:
    """The latest scores of each of these responses that has some."""
    ids, scores = list(response_ids), {}
    for start in range(0, len(ids), _AT_ONCE):
        query = select(Score).where(Score.response_id.in_(ids[start : start + _AT_ONCE])).order_by(Score.created)
        scores.update({row.response_id: row.json for row in await session.scalars(query)})
    return scores
