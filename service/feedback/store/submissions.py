"""What people submit, kept once each. Run while writing: nobody else writes meanwhile."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from service.domain.caller import Caller, kept_caller
from service.errors import Forbidden, Invalid
from service.feedback.errors import Conflict, NotStored, Refused
from service.feedback.records import Annotation, Comparison, QuickFeedback, Stored
from service.feedback.store import tables as models
from service.feedback.store.annotation_priority import disagreement
from service.feedback.store.annotation_queue import shown_first
from service.feedback.store.rows import annotation_of, comparison_of, quick_of, recorded_of
from service.feedback.validation import check, check_spans, circle, questions, trimmed


async def moment(session: AsyncSession, table: Any, now: datetime) -> datetime:
    """A time after that of every row of the table: pages are stable although clocks may go back."""
    latest = await session.scalar(select(func.max(table.created)))
    return now if latest is None or now > latest else latest + timedelta(microseconds=1)


async def annotator(session: AsyncSession, name: str, by: Caller | None = None) -> models.Annotator:
    """The annotator of a name, which from now on is that of the key `by` uses, if it was no key's.

    Raises NotStored, Forbidden for the name of another key unless `by` administers, and Invalid for one who has retired.
    """
    found = await session.scalar(select(models.Annotator).where(models.Annotator.name == name))
    if found is None:
        raise NotStored(f"There is no annotator {name[:64]!r}; sign in first.", "annotator")
    if by is not None and (key := kept_caller(by.id)) is not None:
        found.caller = found.caller or key
        if found.caller != key and "admin" not in by.scopes:
            raise Forbidden(
                f"The annotator's name {name[:64]!r} belongs to another key; use that key or another name, or have the "
                f"name released by `fgctl feedback annotators --release`.",
                "annotator",
            )
    if found.retired is not None:
        raise Invalid(f"The annotator {name[:64]!r} has retired; sign in by another name.", "annotator")
    return found


async def response(session: AsyncSession, response_id: str) -> models.Response:
    """The response of an id. Raises NotStored."""
    found = await session.get(models.Response, response_id)
    if found is None:
        raise NotStored(f"There is no response {response_id[:64]!r} in the feedback store.", "response_id")
    return found


async def assignment(session: AsyncSession, response_id: str, annotator_id: int, now: datetime) -> models.Assignment:
    """The annotator's assignment of a response, made where there is none."""
    found = await session.get(models.Assignment, (response_id, annotator_id))
    if found is None:
        found = models.Assignment(
            response_id=response_id, annotator_id=annotator_id, state="open", created=now, updated=now
        )
        session.add(found)
    found.updated = now
    return found


async def annotate(
    session: AsyncSession, given: Annotation, imported: bool, by: Caller | None, now: datetime
) -> Stored:
    """Keep an annotation as the annotator's next version. Raises Conflict, Forbidden, NotStored and Refused."""
    person, judged = await annotator(session, given.annotator, by), await response(session, given.response_id)
    recorded = recorded_of(judged)
    given = given if imported else trimmed(given, recorded.text)
    kept = await _kept(session, models.Annotation, given.submission_id)
    if kept is not None:
        return _again(kept, annotation_of(kept, given.annotator), given, Annotation, kept.version, person.id)
    violations = [violation for violation in check(given, recorded) if violation.fatal or not imported]
    if violations:
        raise Refused(violations)
    own = (models.Annotation.response_id == judged.id, models.Annotation.annotator_id == person.id)
    latest = await session.scalar(select(func.max(models.Annotation.version)).where(*own))
    values = given.model_dump(mode="json", exclude={"annotator"})
    created = await moment(session, models.Annotation, now)
    row = models.Annotation(**values, annotator_id=person.id, version=(latest or 0) + 1, created=created)
    session.add(row)
    held = await assignment(session, judged.id, person.id, now)
    held.state, held.draft, held.skip_reason = "submitted", None, None
    await session.flush()
    await refresh(session, judged)
    return Stored(id=row.id, version=row.version, questions=tuple(questions(given)))


async def quick(session: AsyncSession, given: QuickFeedback, now: datetime) -> Stored:
    """Keep quick feedback. Raises Conflict, NotStored and Refused."""
    judged = await response(session, given.response_id)
    if (kept := await _kept(session, models.QuickFeedback, given.submission_id)) is not None:
        return _again(kept, quick_of(kept), given, QuickFeedback, 1)
    if violations := check_spans(given.spans, judged.text):
        raise Refused(violations)
    created = await moment(session, models.QuickFeedback, now)
    row = models.QuickFeedback(**given.model_dump(mode="json"), created=created)
    session.add(row)
    await session.flush()
    return Stored(id=row.id)


async def compare(session: AsyncSession, given: Comparison, imported: bool, by: Caller | None, now: datetime) -> Stored:
    """Keep a comparison, and say where it closes a circle. Raises Conflict, Forbidden, NotStored and Invalid."""
    person = await annotator(session, given.annotator, by)
    if not imported:
        given = given.model_copy(update={"shown_first": shown_first(given.a, given.b, given.annotator)})
    if (kept := await _kept(session, models.Comparison, given.submission_id)) is not None:
        return _again(kept, comparison_of(kept, given.annotator), given, Comparison, 1, person.id)
    a, b = await response(session, given.a), await response(session, given.b)
    if a.id == b.id or a.prompt_key != b.prompt_key:
        raise Invalid("The two responses do not answer the same question from the same passages; compare others.", "b")
    created = await moment(session, models.Comparison, now)
    values = given.model_dump(mode="json", exclude={"annotator"})
    row = models.Comparison(**values, annotator_id=person.id, created=created)
    session.add(row)
    await session.flush()
    return Stored(id=row.id, contradicts=await _circle(session, row, a.prompt_key))


async def _circle(session: AsyncSession, made: models.Comparison, prompt_key: str) -> tuple[str, ...]:
    """The circle that the comparisons of an annotator of answers to one question form with the one just made."""
    table = models.Comparison
    query = (
        select(table)
        .join(models.Response, models.Response.id == table.a)
        .where(table.annotator_id == made.annotator_id, models.Response.prompt_key == prompt_key)
        .order_by(table.created, table.id)
    )
    latest = {frozenset((row.a, row.b)): (row.a, row.b, row.choice) for row in await session.scalars(query)}
    found = circle(latest.values())
    return found if made.a in found or made.b in found else ()


async def refresh(session: AsyncSession, judged: models.Response) -> None:
    """Compute anew how far those who judged a response differ."""
    scored = await latest_score(session, judged.id)
    versions = select(models.Annotation).where(models.Annotation.response_id == judged.id)
    ordered = versions.order_by(models.Annotation.version)
    latest = {row.annotator_id: row.errors for row in await session.scalars(ordered)}
    judged.disagreement = disagreement(scored.json if scored else None, list(latest.values()))


async def latest_score(session: AsyncSession, response_id: str) -> models.Score | None:
    """The latest judgement of a response."""
    query = select(models.Score).where(models.Score.response_id == response_id)
    return (await session.scalars(query.order_by(models.Score.created.desc()).limit(1))).first()


async def _kept(session: AsyncSession, table: Any, submission_id: str) -> Any:
    return await session.scalar(select(table).where(table.submission_id == submission_id))


def _again(kept: Any, stored: Any, given: Any, kind: Any, version: int, annotator_id: int | None = None) -> Stored:
    """What was kept, if it is the same. Raises Conflict."""
    same = annotator_id is None or kept.annotator_id == annotator_id
    if not same or kind.model_validate(stored.model_dump(include=set(kind.model_fields))) != given:
        raise Conflict(
            "This submission_id is kept already with other content; send what is new under a new one.", "submission_id"
        )
    return Stored(id=kept.id, version=version, again=True)
