"""The interface of the feedback store: served responses, their scores, and the feedback that people give.

Each method is one transaction; when a writing method returns, its changes are durable. Methods raise StoreFailed when
the database fails, and then have changed nothing. Methods that act for an annotator take the caller as `by` (None for
the operator), and raise Forbidden if the annotator's name belongs to another key.
"""

from collections.abc import Callable, Collection, Coroutine, Sequence
from datetime import UTC, datetime
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from service.domain.caller import Caller
from service.errors import ServiceError
from service.feedback.figures import FeedbackFigures, Progress
from service.feedback.opinions import Opinions
from service.feedback.records import (
    Annotation,
    AnnotatorInfo,
    Assignment,
    Comparison,
    Counts,
    ImportedFeedback,
    Judgement,
    NewResponse,
    NewScores,
    Order,
    Outcome,
    Page,
    Pair,
    QuickFeedback,
    Stored,
    StoredAnnotation,
    StoredComparison,
    StoredQuick,
    StoredResponse,
    TrafficResponse,
    WorkKind,
)
from service.feedback.store import annotation_queue as queue
from service.feedback.store import annotators, importing, reading, removal, responses, submissions, tables
from service.feedback.store.database import Database
from service.feedback.store.rows import annotator_of
from service.feedback.store.sampling import traffic
from service.feedback.store.sampling.draw_keys import Levels

P = ParamSpec("P")
T = TypeVar("T")
_LAST = 20
"""Responses that an annotator can go back to from a list."""
OVERLAP = 0.1
"""The share of responses that two people annotate, so that agreement can be measured."""


def _now() -> datetime:
    return datetime.now(UTC)


def _to_its_end(
    method: Callable[Concatenate["FeedbackStore", P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate["FeedbackStore", P], Coroutine[Any, Any, T]]:
    """Let a method run to its end even if the task that awaits it is cancelled."""

    @wraps(method)
    async def run(self: "FeedbackStore", *arguments: P.args, **options: P.kwargs) -> T:
        return await self._database.to_its_end(method(self, *arguments, **options))

    return run


async def open_store(url: str, overlap: float = OVERLAP, clock: Callable[[], datetime] = _now) -> "FeedbackStore":
    """Open `sqlite:///PATH`, created if missing, or `postgresql://…`, and bring its tables up to date.

    The caller closes the store. Raises FgctlError.
    """
    return FeedbackStore(await Database.open(url), overlap, clock)


class FeedbackStore:
    """One store, which any number of processes may use at the same time."""

    def __init__(self, database: Database, overlap: float = OVERLAP, clock: Callable[[], datetime] = _now) -> None:
        self._database = database
        self._overlap = overlap
        self._clock = clock

    async def close(self) -> None:
        """Close every connection."""
        await self._database.close()

    # Responses and scores

    async def record_response(self, response: NewResponse) -> bool:
        """Store a response. False if there is one of its id, which stays as it is."""
        return await self.record([response]) == 1

    @_to_its_end
    async def record_scores(
        self, response_id: str, rewards: str, scored: dict[str, Any], labels: str | None = None
    ) -> None:
        """Store the scores by a version of the reward models, unless it has scored the response before.

        `scored` is in the shape of ScoredResponse.as_json. Raises NotStored.
        """
        async with self._database.writing() as session:
            await responses.find(session, response_id)
            new = NewScores(response_id=response_id, rewards=rewards, scored=scored, labels=labels)
            await responses.add_scores(session, new, self._clock())

    @_to_its_end
    async def record(self, new_responses: Sequence[NewResponse], scores: Sequence[NewScores] = ()) -> int:
        """Store responses and scores together. Returns how many responses are new; skips scores of unknown ones."""
        async with self._database.writing() as session:
            added = await responses.add_new(session, new_responses, self._clock())
            for new in scores:
                await responses.add_scores(session, new, self._clock())
        return added

    @_to_its_end
    async def response(self, response_id: str) -> StoredResponse:
        """A response with its latest scores. Raises NotStored."""
        async with self._database.reading() as session:
            return await responses.with_scores(session, await responses.find(session, response_id))

    @_to_its_end
    async def recorded(self, response_ids: Collection[str]) -> dict[str, NewResponse]:
        """The responses of these ids as they were recorded, without scores, by id; those that are stored."""
        async with self._database.reading() as session:
            return await reading.recorded(session, response_ids)

    @_to_its_end
    async def responses(
        self, cursor: str | None = None, limit: int = 100, *, annotated: bool = False
    ) -> Page[StoredResponse]:
        """A page of responses, only of annotated ones if asked. Raises InvalidRequest for a wrong cursor."""
        async with self._database.reading() as session:
            return await reading.response_page(session, cursor, limit, annotated)

    # Annotators

    @_to_its_end
    async def sign_in(self, name: str, by: Caller | None = None) -> AnnotatorInfo:
        """The annotator of that name, added if new. Raises InvalidRequest for an annotator who has retired."""
        async with self._database.writing() as session:
            if await annotators.add_if_new(session, name, self._clock()):
                self._audit(session, name.strip(), "annotator", "signed in for the first time")
            return annotator_of(await annotators.find(session, name, by))

    @_to_its_end
    async def annotators(self) -> list[AnnotatorInfo]:
        """Everybody who annotates or has annotated."""
        async with self._database.reading() as session:
            return [annotator_of(row) for row in await session.scalars(select(tables.Annotator).order_by("id"))]

    @_to_its_end
    async def retire(self, name: str) -> None:
        """Stop an annotator from annotating; their feedback stays. Raises NotStored."""
        async with self._database.writing() as session:
            annotator = await annotators.find(session, name)
            annotator.retired = self._clock()
            self._audit(session, None, "retire", f"annotator {annotator.id}")

    @_to_its_end
    async def release(self, name: str) -> None:
        """Let an annotator's name belong to the next key that uses it. Raises NotStored."""
        async with self._database.writing() as session:
            annotator = await annotators.find(session, name)
            annotator.caller = None
            self._audit(session, None, "release", f"annotator {annotator.id}")

    # Handing out work

    @_to_its_end
    async def next_response_for(
        self, annotator: str, order: Order = "sampled", *, quick: bool = False
    ) -> Assignment | None:
        """What the annotator has begun, or the next response to annotate; None when nothing is left.

        The order `uncertain` starts where the reward models are least certain, `disagreed` where raters differ most;
        `error_rate` draws at random, the same number of each profile, for an estimate of the error rate. With `quick`,
        for judging sentences alone, drafts of annotations are not offered.
        Raises NotStored for an unknown annotator.
        """
        async with self._database.writing() as session:
            person = await annotators.find(session, annotator)
            assignment = await queue.next_assignment(
                session, person.id, order, self._overlap, self._clock(), quick=quick
            )
            if assignment is None:
                return None
            response = await responses.with_scores(session, await responses.find(session, assignment.response_id))
            version = await submissions.check_version(session, response.id, person.id, None)
            return Assignment.model_validate(
                {"response": response, "state": assignment.state, "version": version, "draft": assignment.draft}
            )

    async def save_draft(
        self, annotator: str, response_id: str, draft: dict[str, Any], by: Caller | None = None, based_on: int = 0
    ) -> None:
        """Store the annotator's draft, replacing the previous one.

        Raises NotStored, and Stale if the annotator's latest version is not the one that the draft is based on.
        """
        await self._update_assignment(annotator, response_id, by, based_on, state="drafted", draft=draft)

    async def skip(
        self, annotator: str, response_id: str, reason: str, by: Caller | None = None, based_on: int = 0
    ) -> None:
        """Leave a response to others; it is never offered to this annotator again. Raises like `save_draft`."""
        values = {"state": "skipped", "draft": None, "skip_reason": reason}
        await self._update_assignment(annotator, response_id, by, based_on, **values)

    @_to_its_end
    async def _update_assignment(
        self, annotator: str, response_id: str, by: Caller | None, based_on: int, **values: Any
    ) -> None:
        async with self._database.writing() as session:
            person = await annotators.find(session, annotator, by)
            response = await responses.find(session, response_id)
            await submissions.check_version(session, response.id, person.id, based_on)
            assignment = await queue.assignment_of(session, response.id, person.id, self._clock())
            for name, value in values.items():
                setattr(assignment, name, value)

    @_to_its_end
    async def open_again(self, annotator: str, response_id: str, by: Caller | None = None) -> Assignment:
        """A response with the annotator's latest annotation of it and their draft, if any. Raises NotStored."""
        async with self._database.writing() as session:
            person = await annotators.find(session, annotator, by)
            response = await responses.find(session, response_id)
            assignment = await session.get(tables.Assignment, (response.id, person.id))
            page = await reading.annotation_page(session, None, 1, response.id, person.name, latest=True)
            annotation = next(iter(page.items), None)
            return Assignment(
                response=await responses.with_scores(session, response),
                state=assignment.state if assignment else "open",
                draft=assignment.draft if assignment else None,
                version=annotation.version if annotation else 0,
                annotation=annotation,
            )

    @_to_its_end
    async def progress(
        self, annotator: str, kind: WorkKind, order: Order = "sampled", since: datetime | None = None
    ) -> Progress:
        """How much an annotator has done, since a time too, and how much is left. Raises NotStored."""
        async with self._database.reading() as session:
            person = await annotators.find(session, annotator)
            done, today = await queue.done(session, kind, person.id, since)
            if kind == "comparison":
                return Progress(done=done, today=today, left=await queue.pairs_left(session, person.id))
            left = await queue.left(session, person.id, order, self._overlap, self._clock())
            last = await reading.done_last(session, person.id, _LAST)
            return Progress(done=done, today=today, left=left, last=last)

    @_to_its_end
    async def skip_pair(self, annotator: str, a: str, b: str, reason: str, by: Caller | None = None) -> None:
        """Never offer a pair to this annotator again. Raises NotStored."""
        async with self._database.writing() as session:
            person = await annotators.find(session, annotator, by)
            low, high = sorted([(await responses.find(session, response_id)).id for response_id in (a, b)])
            skipped = tables.SkippedPair(a=low, b=high, annotator_id=person.id, reason=reason, created=self._clock())
            await session.merge(skipped)

    @_to_its_end
    async def next_pair(self, annotator: str) -> Pair | None:
        """Two responses to one prompt that the annotator has not compared; None if there are none. Raises NotStored."""
        async with self._database.reading() as session:
            person = await annotators.find(session, annotator)
            pair = await queue.next_pair(session, person.id)
            if pair is None:
                return None
            a, b = [await responses.with_scores(session, row) for row in pair]
            return Pair(a=a, b=b, shown_first=queue.shown_first(a.id, b.id, person.name))

    # Submissions

    @_to_its_end
    async def submit(self, annotation: Annotation, *, by: Caller | None = None, based_on: int | None = None) -> Stored:
        """Store an annotation as its annotator's next version for the response. Storing is idempotent.

        Spans lose white space at their ends. Raises Conflict for a submission id stored with different content, Refused
        with the rules that the annotation breaks, NotStored for an unknown response or annotator, and Stale if the
        annotator's latest version is not the one that this is based on; None replaces any.
        """
        async with self._database.writing() as session:
            return await submissions.annotate(session, annotation, by, based_on, self._clock())

    @_to_its_end
    async def judge(self, judgement: Judgement, *, by: Caller | None = None) -> None:
        """Store whether the passages support each sentence of a response, in place of what the annotator said before.

        Raises InvalidRequest for sentences outside the response, and NotStored.
        """
        async with self._database.writing() as session:
            await submissions.judge(session, judgement, by, self._clock())

    @_to_its_end
    async def import_feedback(self, items: Sequence[ImportedFeedback]) -> list[Outcome | ServiceError]:
        """Store feedback from files, together. Returns what became of each item, or why it was refused.

        It is stored unchanged, and refused only if it is unusable: Conflict for an id stored with different content
        that no correction explains, InvalidRequest and Refused.
        """
        async with self._database.writing() as session:
            return await importing.import_all(session, items, self._clock())

    @_to_its_end
    async def quick_feedback(self, feedback: QuickFeedback) -> Stored:
        """Store a thumb, spans and a comment. Idempotent; raises like `submit`."""
        async with self._database.writing() as session:
            return await submissions.give_quick_feedback(session, feedback, self._clock())

    @_to_its_end
    async def compare(self, comparison: Comparison, *, by: Caller | None = None, based_on: int | None = None) -> Stored:
        """Store a comparison and which response was shown first; the latest of a pair counts. Idempotent.

        `contradicts` names the responses that the annotator has thereby ranked in a circle. Raises like `submit`, and
        InvalidRequest for responses to different prompts; `based_on` is how many comparisons of the pair there are.
        """
        async with self._database.writing() as session:
            return await submissions.compare(session, comparison, by, based_on, self._clock())

    # Reading feedback

    @_to_its_end
    async def annotations(
        self,
        cursor: str | None = None,
        limit: int = 100,
        *,
        response_id: str | None = None,
        annotator: str | None = None,
        latest: bool = False,
    ) -> Page[StoredAnnotation]:
        """A page of annotations, only of a response, by an annotator or of latest versions if asked.

        Raises InvalidRequest for a wrong cursor.
        """
        async with self._database.reading() as session:
            return await reading.annotation_page(session, cursor, limit, response_id, annotator, latest)

    @_to_its_end
    async def comparisons(
        self, cursor: str | None = None, limit: int = 100, *, annotator: str | None = None
    ) -> Page[StoredComparison]:
        """A page of comparisons. Raises InvalidRequest for a wrong cursor."""
        async with self._database.reading() as session:
            return await reading.comparison_page(session, cursor, limit, annotator)

    @_to_its_end
    async def quick_feedback_page(
        self, cursor: str | None = None, limit: int = 100, *, response_id: str | None = None
    ) -> Page[StoredQuick]:
        """A page of quick feedback. Raises InvalidRequest for a wrong cursor."""
        async with self._database.reading() as session:
            return await reading.quick_feedback_page(session, cursor, limit, response_id)

    @_to_its_end
    async def counts(self) -> Counts:
        """How much the store holds."""
        async with self._database.reading() as session:
            return await reading.counts(session)

    @_to_its_end
    async def figures(self) -> FeedbackFigures:
        """What people said about each version, what each of them did, and what is left."""
        async with self._database.reading() as session:
            return await reading.figures(session)

    # Error rates

    @_to_its_end
    async def sampling_levels(self, since: datetime | None = None) -> Levels:
        """How far the orders that draw at random have come, with the draws since a time."""
        async with self._database.reading() as session:
            return await traffic.reached_levels(session, since)

    @_to_its_end
    async def traffic(
        self,
        levels: Levels,
        since: datetime | None = None,
        cursor: str | None = None,
        limit: int = 100,
        *,
        profile: str | None = None,
    ) -> Page[TrafficResponse]:
        """A page of served and scored responses, with labels and with probabilities by the levels reached.

        Raises InvalidRequest for a wrong cursor.
        """
        async with self._database.reading() as session:
            return await traffic.traffic_page(session, since, cursor, limit, profile, levels)

    @_to_its_end
    async def start_of_the_last(self, number: int) -> datetime | None:
        """When the earliest of the last so many responses was stored; None if there are no more than these."""
        async with self._database.reading() as session:
            return await traffic.start_of_the_last(session, number)

    # Preferences

    @_to_its_end
    async def opinions(self, caller: str) -> Opinions:
        """What a caller said of scored answers since it last had them forgotten."""
        async with self._database.reading() as session:
            return await reading.opinions(session, caller)

    @_to_its_end
    async def forget_opinions(self, caller: str) -> None:
        """Leave out of `opinions` what a caller has said so far. The feedback itself stays."""
        async with self._database.writing() as session:
            self._audit(session, caller, reading.FORGET, "what was said before")

    # Removal

    @_to_its_end
    async def delete_person(self, name: str) -> dict[str, int]:
        """Delete everything by the annotator of that name or the caller of that id. Returns the rows by kind."""
        async with self._database.writing() as session:
            deleted = await removal.delete_person(session, name)
            self._audit(session, None, "delete_person", ", ".join(f"{n} {kind}" for kind, n in deleted.items()))
        await self._database.truncate_log()
        return deleted

    @_to_its_end
    async def delete_response(self, response_id: str, by: str | None) -> bool:
        """Delete a response with its scores, unless somebody has given feedback on it or begun to.

        `by` is the caller as it is kept. Returns whether there was one. Raises HasFeedback.
        """
        async with self._database.writing() as session:
            deleted = await removal.delete_response(session, response_id)
            if deleted:
                self._audit(session, by, "delete_response", response_id)
        await self._database.truncate_log()
        return deleted

    @_to_its_end
    async def prune(self, older_than: datetime, *, everything: bool = False) -> int:
        """Delete responses stored before a time, those with feedback only if `everything`. Returns how many."""
        async with self._database.writing() as session:
            deleted = await removal.prune(session, older_than, everything)
            what = f"{deleted} responses from before {older_than.isoformat()}"
            self._audit(session, None, "prune", f"{what}, with feedback too" if everything else what)
        await self._database.truncate_log()
        return deleted

    def _audit(self, session: AsyncSession, who: str | None, action: str, what: str) -> None:
        session.add(tables.Audit(at=self._clock(), who=who, action=action, what=what))
