"""The feedback store: what was answered, how it was scored, and what people say of it.

What a method that writes has returned is durable. Methods raise StoreFailed when the database cannot do its part;
then nothing of the call is kept. Those that act for an annotator take who calls as `by`, None being the operator, and
raise Forbidden where the name belongs to another key.
"""

from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from service.domain.caller import Caller
from service.feedback.records import (
    Annotation,
    AnnotatorInfo,
    Assignment,
    Comparison,
    Counts,
    NewResponse,
    NewScores,
    Order,
    Page,
    Pair,
    QuickFeedback,
    Stored,
    StoredAnnotation,
    StoredComparison,
    StoredQuick,
    StoredResponse,
)
from service.feedback.store import annotation_queue as queue
from service.feedback.store import removal, submissions
from service.feedback.store import tables as models
from service.feedback.store.annotation_priority import derived, uncertainty
from service.feedback.store.database import Database
from service.feedback.store.paging import fetch
from service.feedback.store.rows import annotation_of, annotator_of, comparison_of, quick_of, response_of

P = ParamSpec("P")
T = TypeVar("T")
OVERLAP = 0.1
"""The share of responses that two people annotate, so that their agreement is known."""


def _now() -> datetime:
    return datetime.now(UTC)


def _whole(
    method: Callable[Concatenate["FeedbackStore", P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate["FeedbackStore", P], Coroutine[Any, Any, T]]:
    """A method that goes on to its end when who awaits it is cancelled."""

    @wraps(method)
    async def to_its_end(self: "FeedbackStore", *given: P.args, **named: P.kwargs) -> T:
        return await self._database.whole(method(self, *given, **named))

    return to_its_end


async def open_store(url: str, overlap: float = OVERLAP, clock: Callable[[], datetime] = _now) -> "FeedbackStore":
    """Open `sqlite:///PATH`, made where it is missing, or `postgresql://…`, and bring its tables up to date.

    Raises FgctlError. Close the store in the end.
    """
    return FeedbackStore(await Database.open(url), overlap, clock)


class FeedbackStore:
    """One store, which any number of processes may use at once."""

    def __init__(self, database: Database, overlap: float = OVERLAP, clock: Callable[[], datetime] = _now) -> None:
        self._database = database
        self._overlap = overlap
        self._clock = clock

    async def close(self) -> None:
        """Close every connection."""
        await self._database.close()

    async def record_response(self, response: NewResponse) -> bool:
        """Keep an answer; False when there is one of its id, which stays."""
        return await self.record([response]) == 1

    @_whole
    async def record_scores(
        self, response_id: str, rewards: str, scored: dict[str, Any], labels: str | None = None
    ) -> None:
        """Keep the judgement by a version of the reward models; a second one by the same is not kept. Raises NotStored.

        `scored` is of the shape of ScoredResponse.as_json.
        """
        async with self._database.writing() as session:
            await submissions.response(session, response_id)
            given = NewScores(response_id=response_id, rewards=rewards, scored=scored, labels=labels)
            await self._record_scores(session, given)

    @_whole
    async def record(self, responses: Sequence[NewResponse], scores: Sequence[NewScores] = ()) -> int:
        """Keep answers and judgements at once; how many answers are new. Judgements of unknown ones are left out."""
        async with self._database.writing() as session:
            asked = {response.id: response for response in reversed(responses)}
            known = set(await session.scalars(select(models.Response.id).where(models.Response.id.in_(asked))))
            created = await submissions.moment(session, models.Response, self._clock())
            new = [response for response in asked.values() if response.id not in known]
            for place, one in enumerate(reversed(new)):
                columns = derived(one.id, one.question, one.passages, one.text)
                at = created + timedelta(microseconds=place)  # in the order given
                session.add(models.Response(**one.model_dump(mode="json"), **columns, created=at))
            await session.flush()
            for judged in scores:
                await self._record_scores(session, judged)
        return len(new)

    async def _record_scores(self, session: AsyncSession, given: NewScores) -> None:
        response = await session.get(models.Response, given.response_id)
        if response is None or await session.get(models.Score, (given.response_id, given.rewards)) is not None:
            return
        session.add(
            models.Score(
                response_id=given.response_id,
                rewards=given.rewards,
                labels=given.labels,
                json=given.scored,
                created=await submissions.moment(session, models.Score, self._clock()),
            )
        )
        await session.flush()
        response.uncertainty = uncertainty(given.scored)
        await submissions.refresh(session, response)

    @_whole
    async def response(self, response_id: str) -> StoredResponse:
        """A response with its latest judgement. Raises NotStored."""
        async with self._database.reading() as session:
            return await self._response(session, await submissions.response(session, response_id))

    @_whole
    async def responses(
        self, cursor: str | None = None, limit: int = 100, *, annotated: bool = False
    ) -> Page[StoredResponse]:
        """A page of responses, where asked only of those with an annotation. Raises Invalid for a wrong cursor."""
        table = models.Response
        query = select(table)
        if annotated:
            query = query.where(exists().where(models.Annotation.response_id == table.id))
        async with self._database.reading() as session:
            rows, following = await fetch(session, query, table, cursor, limit)
            return Page(items=tuple([await self._response(session, row) for row in rows]), next=following)

    @staticmethod
    async def _response(session: AsyncSession, row: models.Response) -> StoredResponse:
        return response_of(row, await submissions.latest_score(session, row.id))

    @_whole
    async def sign_in(self, name: str, by: Caller | None = None) -> AnnotatorInfo:
        """The annotator of a name, whom it makes known where there is none. Raises Invalid for one who has retired."""
        async with self._database.writing() as session:
            known = exists().where(models.Annotator.name == name)
            if not await session.scalar(select(known)):
                session.add(models.Annotator(name=name, created=self._clock()))
                self._note(session, name, "annotator", "signed in for the first time")
            return annotator_of(await submissions.annotator(session, name, by))

    @_whole
    async def annotators(self) -> list[AnnotatorInfo]:
        """Everybody who annotates or has."""
        async with self._database.reading() as session:
            return [annotator_of(row) for row in await session.scalars(select(models.Annotator).order_by("id"))]

    @_whole
    async def retire(self, name: str) -> None:
        """End an annotator's work; what was annotated stays. Raises NotStored."""
        async with self._database.writing() as session:
            person = await submissions.annotator(session, name)
            person.retired = self._clock()
            self._note(session, None, "retire", f"annotator {person.id}")

    @_whole
    async def release(self, name: str) -> None:
        """Let an annotator's name belong to the key that uses it next. Raises NotStored."""
        async with self._database.writing() as session:
            person = await submissions.annotator(session, name)
            person.caller = None
            self._note(session, None, "release", f"annotator {person.id}")

    @_whole
    async def next_response_for(self, annotator: str, order: Order = "sampled") -> Assignment | None:
        """What the annotator is to judge next: what was begun, or one more response; None when nothing is left.

        `uncertain` begins with what the reward models are least sure of, `disagreed` where those who judged differ.
        Raises NotStored for an annotator nobody knows.
        """
        async with self._database.writing() as session:
            person = await submissions.annotator(session, annotator)
            held = await queue.next_assignment(session, person.id, order, self._overlap, self._clock())
            if held is None:
                return None
            response = await submissions.response(session, held.response_id)
            return Assignment.model_validate(
                {"response": await self._response(session, response), "state": held.state, "draft": held.draft}
            )

    async def save_draft(
        self, annotator: str, response_id: str, draft: dict[str, Any], by: Caller | None = None
    ) -> None:
        """Keep what the annotator has so far, instead of what was kept so before. Raises NotStored."""
        await self._set_aside(annotator, response_id, by, state="drafted", draft=draft)

    async def skip(self, annotator: str, response_id: str, reason: str, by: Caller | None = None) -> None:
        """Let others judge a response, and never offer it to this annotator again. Raises NotStored."""
        await self._set_aside(annotator, response_id, by, state="skipped", draft=None, skip_reason=reason)

    @_whole
    async def _set_aside(self, annotator: str, response_id: str, by: Caller | None, **values: Any) -> None:
        async with self._database.writing() as session:
            person = await submissions.annotator(session, annotator, by)
            response = await submissions.response(session, response_id)
            held = await submissions.assignment(session, response.id, person.id, self._clock())
            for name, value in values.items():
                setattr(held, name, value)

    @_whole
    async def submit(self, annotation: Annotation, *, imported: bool = False, by: Caller | None = None) -> Stored:
        """Keep an annotation as the annotator's next version of the response; the same submission twice is kept once.

        Spans lose their outer white space. Of an imported one nothing is changed, and only what cannot be used is
        refused. Raises Conflict for a submission id that is kept with other content, Refused with the rules that it
        breaks, and NotStored for an unknown response or annotator.
        """
        async with self._database.writing() as session:
            stored = await submissions.annotate(session, annotation, imported, by, self._clock())
            if not stored.again:
                self._note(session, annotation.annotator, "annotate", f"annotation {stored.id}")
        return stored

    @_whole
    async def quick_feedback(self, given: QuickFeedback) -> Stored:
        """Keep a thumb, spans and a comment, once. Raises like `submit`."""
        async with self._database.writing() as session:
            return await submissions.quick(session, given, self._clock())

    @_whole
    async def next_pair(self, annotator: str) -> Pair | None:
        """Two answers to one question that the annotator has not compared; None when none are left. Raises NotStored."""
        async with self._database.reading() as session:
            person = await submissions.annotator(session, annotator)
            pair = await queue.next_pair(session, person.id)
            if pair is None:
                return None
            a, b = [await self._response(session, row) for row in pair]
            return Pair(a=a, b=b, shown_first=queue.shown_first(a.id, b.id, annotator))

    @_whole
    async def compare(self, given: Comparison, *, imported: bool = False, by: Caller | None = None) -> Stored:
        """Keep a comparison, once, with the order in which the pair was shown; the latest of a pair counts.

        `contradicts` names the responses that the annotator has put in a circle with it. Raises like `submit`, and
        Invalid for answers to different questions.
        """
        async with self._database.writing() as session:
            stored = await submissions.compare(session, given, imported, by, self._clock())
            if not stored.again:
                self._note(session, given.annotator, "compare", f"comparison {stored.id}")
        return stored

    @_whole
    async def annotations(
        self,
        cursor: str | None = None,
        limit: int = 100,
        *,
        response_id: str | None = None,
        annotator: str | None = None,
        latest: bool = False,
    ) -> Page[StoredAnnotation]:
        """A page of annotations, of a response or annotator, or the latest versions alone, where asked.

        Raises Invalid for a wrong cursor.
        """
        table = models.Annotation
        query = select(table)
        if response_id is not None:
            query = query.where(table.response_id == response_id)
        if annotator is not None:
            query = query.where(table.annotator_id.in_(self._id_of(annotator)))
        if latest:
            later = aliased(table)
            same = (later.response_id == table.response_id, later.annotator_id == table.annotator_id)
            query = query.where(~exists().where(*same, later.version > table.version))
        async with self._database.reading() as session:
            rows, following = await fetch(session, query, table, cursor, limit)
            names = await self._names(session)
            return Page(items=tuple(annotation_of(row, names[row.annotator_id]) for row in rows), next=following)

    @_whole
    async def comparisons(
        self, cursor: str | None = None, limit: int = 100, *, annotator: str | None = None
    ) -> Page[StoredComparison]:
        """A page of comparisons. Raises Invalid for a wrong cursor."""
        table = models.Comparison
        query = select(table)
        if annotator is not None:
            query = query.where(table.annotator_id.in_(self._id_of(annotator)))
        async with self._database.reading() as session:
            rows, following = await fetch(session, query, table, cursor, limit)
            names = await self._names(session)
            return Page(items=tuple(comparison_of(row, names[row.annotator_id]) for row in rows), next=following)

    @_whole
    async def quick_feedback_page(
        self, cursor: str | None = None, limit: int = 100, *, response_id: str | None = None
    ) -> Page[StoredQuick]:
        """A page of quick feedback. Raises Invalid for a wrong cursor."""
        table = models.QuickFeedback
        query = select(table) if response_id is None else select(table).where(table.response_id == response_id)
        async with self._database.reading() as session:
            rows, following = await fetch(session, query, table, cursor, limit)
            return Page(items=tuple(quick_of(row) for row in rows), next=following)

    @_whole
    async def delete_person(self, name: str) -> dict[str, int]:
        """Delete everything by an annotator of that name or a caller of that id; how many rows of what."""
        async with self._database.writing() as session:
            deleted = await removal.delete_person(session, name)
            self._note(session, None, "delete_person", ", ".join(f"{n} {what}" for what, n in deleted.items()))
        await self._database.forget()
        return deleted

    @_whole
    async def prune(self, older_than: datetime, *, everything: bool = False) -> int:
        """Delete answers stored before a time that nobody has judged; with `everything` the others too. How many."""
        async with self._database.writing() as session:
            deleted = await removal.prune(session, older_than, everything)
            what = f"{deleted} responses from before {older_than.isoformat()}"
            self._note(session, None, "prune", f"{what}, judged ones too" if everything else what)
        await self._database.forget()
        return deleted

    @_whole
    async def counts(self) -> Counts:
        """How much the store holds."""
        response, annotation = models.Response.id, models.Annotation
        sizes = {
            "responses": func.count(response),
            "scored": func.count(models.Score.response_id.distinct()),
            "annotated": func.count(annotation.response_id.distinct()),
            "annotations": func.count(annotation.id),
            "annotators": func.count(models.Annotator.id),
            "quick_feedback": func.count(models.QuickFeedback.id),
            "comparisons": func.count(models.Comparison.id),
        }
        async with self._database.reading() as session:
            found = {name: await session.scalar(select(size)) for name, size in sizes.items()}
            query = select(func.count(response)).where(models.Response.annotatable)
            return Counts.model_validate(found | {"annotatable": await session.scalar(query)})

    @staticmethod
    def _id_of(annotator: str) -> Any:
        return select(models.Annotator.id).where(models.Annotator.name == annotator)

    @staticmethod
    async def _names(session: AsyncSession) -> dict[int, str]:
        rows = await session.execute(select(models.Annotator.id, models.Annotator.name))
        return {row.id: row.name for row in rows}

    def _note(self, session: AsyncSession, who: str | None, action: str, what: str) -> None:
        session.add(models.Audit(at=self._clock(), who=who, action=action, what=what))
