"""Annotations, quick feedback and comparisons, each stored once. Call these inside a writing transaction."""

from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from service.domain.caller import Caller
from service.errors import InvalidRequest
from service.feedback.errors import Conflict, Refused, Stale
from service.feedback.records import Annotation, Comparison, Judgement, QuickFeedback, Stored
from service.feedback.skips import SKIP_REASONS
from service.feedback.store import annotators, responses, tables
from service.feedback.store.annotation_queue import assignment_of, of_pair, shown_first
from service.feedback.store.paging import next_moment
from service.feedback.store.rows import annotation_of, comparison_of, quick_of, recorded_of
from service.feedback.validation import check, check_quick_spans, follow_up_questions, preference_cycle, trimmed


async def annotate(
    session: AsyncSession,
    annotation: Annotation,
    by: Caller | None,
    based_on: int | None,
    now: datetime,
) -> Stored:
    """Store an annotation as its annotator's next version.

    Raises Conflict, Forbidden, NotStored, Refused, and Stale unless it is based on the latest version or on None.
    """
    annotator = await annotators.find(session, annotation.annotator, by)
    response = await responses.find(session, annotation.response_id)
    recorded = recorded_of(response)
    annotation = trimmed(annotation, recorded.text)
    previous = await _previous(session, tables.Annotation, annotation.submission_id)
    if previous is not None:
        stored = annotation_of(previous, annotation.annotator)
        return _receipt(previous, stored, annotation, previous.version, annotator.id)
    version = await check_version(session, response.id, annotator.id, based_on) + 1
    if violations := check(annotation, recorded):
        raise Refused(violations)
    values = annotation.model_dump(mode="json", exclude={"annotator"})
    created = await next_moment(session, tables.Annotation, now)
    row = tables.Annotation(**values, annotator_id=annotator.id, version=version, created=created)
    session.add(row)
    assignment = await assignment_of(session, response.id, annotator.id, now)
    assignment.state, assignment.draft, assignment.skip_reason = "submitted", None, None
    await session.flush()
    session.add(tables.Audit(at=now, who=annotator.name, action="annotate", what=f"annotation {row.id}"))
    await responses.update_disagreement(session, response)
    return Stored(id=row.id, version=row.version, questions=tuple(follow_up_questions(annotation)))


async def judge(session: AsyncSession, judgement: Judgement, by: Caller | None, now: datetime) -> None:
    """Store what an annotator says of a response's sentences, in place of what they said before.

    A response of which they cannot tell anything counts as skipped, unless they have annotated it; a draft of an
    annotation stays. Raises Forbidden, InvalidRequest and NotStored.
    """
    annotator = await annotators.find(session, judgement.annotator, by)
    response = await responses.find(session, judgement.response_id)
    for place, sentence in enumerate(judgement.sentences):
        if not sentence.start < sentence.end <= len(response.text):
            raise InvalidRequest(
                f"Sentence {place} goes from {sentence.start} to {sentence.end} in a response of {len(response.text)} "
                f"characters; send code points inside it.",
                f"sentences.{place}",
            )
    assignment = await assignment_of(session, response.id, annotator.id, now)
    tells = any(sentence.supported is not None for sentence in judgement.sentences)
    assignment.judged = [sentence.model_dump(mode="json") for sentence in judgement.sentences] if tells else None
    if assignment.state != "drafted":
        done = tells or await check_version(session, response.id, annotator.id, None)
        assignment.state = "submitted" if done else "skipped"
        assignment.skip_reason = None if done else SKIP_REASONS["cannot_judge"]
    session.add(tables.Audit(at=now, who=annotator.name, action="judge", what=f"response {response.id}"))


async def check_version(session: AsyncSession, response_id: str, annotator_id: int, based_on: int | None) -> int:
    """The version of the annotator's latest annotation of a response, 0 for none.

    Raises Stale if that is not what something new is based on; None is based on whatever there is.
    """
    own = (tables.Annotation.response_id == response_id, tables.Annotation.annotator_id == annotator_id)
    query = select(tables.Annotation).where(*own).order_by(tables.Annotation.version.desc()).limit(1)
    latest = await session.scalar(query)
    version = 0 if latest is None else latest.version
    if latest is None or based_on in (None, version):
        return version
    marks = len(latest.errors) + len(latest.missing)
    content = {0: "without errors", 1: "with one mark"}.get(marks, f"with {marks} marks")
    raise Stale(
        f"The annotator has submitted version {version} for this response, {content}, which this is not based on; load "
        f"it, or send `based_on` {version} to replace it.",
        version,
        f"You have submitted this response {content} in the meantime. Do you want to replace that?",
    )


async def give_quick_feedback(session: AsyncSession, feedback: QuickFeedback, now: datetime) -> Stored:
    """Store quick feedback. Raises Conflict, NotStored and Refused."""
    response = await responses.find(session, feedback.response_id)
    previous = await _previous(session, tables.QuickFeedback, feedback.submission_id)
    if previous is not None:
        return _receipt(previous, quick_of(previous), feedback)
    if violations := check_quick_spans(feedback.spans, response.text):
        raise Refused(violations)
    created = await next_moment(session, tables.QuickFeedback, now)
    row = tables.QuickFeedback(**feedback.model_dump(mode="json"), created=created)
    session.add(row)
    await session.flush()
    return Stored(id=row.id)


async def compare(
    session: AsyncSession, comparison: Comparison, by: Caller | None, based_on: int | None, now: datetime
) -> Stored:
    """Store a comparison; name the circle it closes, if any.

    Raises Conflict, Forbidden, NotStored, InvalidRequest, and Stale unless it is based on as many comparisons of the
    pair as there are, or on None.
    """
    annotator = await annotators.find(session, comparison.annotator, by)
    first = shown_first(comparison.a, comparison.b, annotator.name)
    comparison = comparison.model_copy(update={"shown_first": first})
    previous = await _previous(session, tables.Comparison, comparison.submission_id)
    if previous is not None:
        stored = comparison_of(previous, comparison.annotator)
        return _receipt(previous, stored, comparison, annotator_id=annotator.id)
    a, b = await responses.find(session, comparison.a), await responses.find(session, comparison.b)
    if a.id == b.id or a.prompt_key != b.prompt_key:
        raise InvalidRequest(
            "The two responses do not answer the same question from the same passages; compare others.", "b"
        )
    await _check_comparisons(session, comparison, annotator.id, based_on)
    created = await next_moment(session, tables.Comparison, now)
    values = comparison.model_dump(mode="json", exclude={"annotator"})
    row = tables.Comparison(**values, annotator_id=annotator.id, created=created)
    session.add(row)
    await session.flush()
    low, high = sorted((a.id, b.id))
    skip = (tables.SkippedPair.a == low, tables.SkippedPair.b == high, tables.SkippedPair.annotator_id == annotator.id)
    await session.execute(delete(tables.SkippedPair).where(*skip))
    session.add(tables.Audit(at=now, who=annotator.name, action="compare", what=f"comparison {row.id}"))
    return Stored(id=row.id, contradicts=await _closed_cycle(session, row, a.prompt_key))


async def _check_comparisons(
    session: AsyncSession, comparison: Comparison, annotator_id: int, based_on: int | None
) -> None:
    table = tables.Comparison
    if based_on is None:
        return
    query = select(func.count()).where(table.annotator_id == annotator_id, of_pair(comparison.a, comparison.b))
    version = await session.scalar(query) or 0
    if version not in (0, based_on):
        raise Stale(
            f"The annotator has submitted version {version} of this comparison, which this is not based on; send "
            f"`based_on` {version} to replace it.",
            version,
            "You have compared these two in the meantime. Do you want to replace that choice?",
        )


async def _closed_cycle(session: AsyncSession, new: tables.Comparison, prompt_key: str) -> tuple[str, ...]:
    """The circle that a new comparison is part of, among its annotator's comparisons of responses to one prompt."""
    table = tables.Comparison
    query = (
        select(table)
        .join(tables.Response, tables.Response.id == table.a)
        .where(table.annotator_id == new.annotator_id, tables.Response.prompt_key == prompt_key)
        .order_by(table.created, table.id)
    )
    latest = {frozenset((row.a, row.b)): (row.a, row.b, row.choice) for row in await session.scalars(query)}
    cycle = preference_cycle(latest.values())
    return cycle if new.a in cycle or new.b in cycle else ()


async def _previous(session: AsyncSession, table: Any, submission_id: str) -> Any:
    """The row already stored under a submission id, or None."""
    return await session.scalar(select(table).where(table.submission_id == submission_id))


def _receipt(row: Any, stored: Any, submitted: Any, version: int = 1, annotator_id: int | None = None) -> Stored:
    """The receipt for a submission that is already stored. Raises Conflict if the content differs."""
    kind = type(submitted)
    same_annotator = annotator_id is None or row.annotator_id == annotator_id
    if not same_annotator or kind.model_validate(stored.model_dump(include=set(kind.model_fields))) != submitted:
        raise Conflict(
            "This submission_id is already stored with different content; submit new content under a new id.",
            "submission_id",
        )
    return Stored(id=row.id, version=version, again=True)
