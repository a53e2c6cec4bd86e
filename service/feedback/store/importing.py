"""Feedback of files, many items at once. Call this inside a writing transaction.

What the items refer to is read with one query a table before anything is written, so that an import takes about as many
statements for a hundred items as for one.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, insert, inspect, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from service.errors import InvalidRequest, ServiceError
from service.feedback.errors import Conflict, Refused
from service.feedback.records import Annotation, Comparison, ImportedFeedback, Outcome
from service.feedback.store import annotators, responses, tables
from service.feedback.store.paging import next_moment
from service.feedback.store.rows import recorded_of
from service.feedback.validation import check

_ANNOTATION = ("errors", "missing", "corrected")
"""What makes two annotations by the same person of the same response equal."""


async def import_all(
    session: AsyncSession, items: Sequence[ImportedFeedback], now: datetime
) -> list[Outcome | ServiceError]:
    """Store each item whole or, if it is refused, not at all. Returns what became of each, or why it was refused."""
    batch = await _Batch.of(session, items, now)
    outcomes: list[Outcome | ServiceError] = []
    for item in items:
        try:
            outcomes.append(await batch.add(item))
        except ServiceError as error:
            outcomes.append(error)
    await batch.finish()
    return outcomes


class _Batch:
    """The rows that a batch's items refer to, those stored before and those added."""

    def __init__(self, session: AsyncSession, now: datetime) -> None:
        self._session = session
        self._now = now
        self._moments: dict[Any, datetime] = {}
        self._responses: dict[str, tables.Response] = {}
        self._annotators: dict[str, tables.Annotator] = {}
        self._annotations: dict[str, tables.Annotation] = {}
        self._latest: dict[tuple[str, int], tables.Annotation] = {}
        """By response and annotator."""
        self._comparisons: dict[str, tables.Comparison] = {}
        self._preferred: dict[tuple[int, frozenset[str]], str] = {}
        """By annotator and pair, the id of the better response, or "tie"."""
        self._assignments: dict[tuple[str, int], tables.Assignment] = {}
        self._scored: set[str] = set()
        self._names: set[str] = set()
        self._new_responses: list[tables.Response] = []
        self._new_annotations: list[tuple[str, tables.Annotation]] = []
        """With the name of who said it, as in the next."""
        self._new_comparisons: list[tuple[str, tables.Comparison]] = []
        self._new_assignments: list[tables.Assignment] = []

    @classmethod
    async def of(cls, session: AsyncSession, items: Sequence[ImportedFeedback], now: datetime) -> "_Batch":
        """Read what the items refer to."""
        batch = cls(session, now)
        annotated = {item.annotation.response_id for item in items}
        mentioned = {response.id for item in items for response in item.responses}
        batch._responses = {
            row.id: row
            for row in await session.scalars(select(tables.Response).where(tables.Response.id.in_(mentioned)))
        }
        batch._names = {item.annotation.annotator for item in items}
        batch._annotators = await annotators.named(session, batch._names)
        submitted = {item.annotation.submission_id for item in items} | {item.successor for item in items}
        table = tables.Annotation
        query = select(table).where(or_(table.submission_id.in_(submitted), table.response_id.in_(annotated)))
        for row in await session.scalars(query):
            batch._keep(row)
        submitted = {comparison.submission_id for item in items for comparison in item.comparisons}
        compared = select(tables.Comparison).where(
            or_(
                tables.Comparison.submission_id.in_(submitted),
                and_(tables.Comparison.a.in_(mentioned), tables.Comparison.b.in_(mentioned)),
            )
        )
        for comparison in await session.scalars(compared.order_by(tables.Comparison.created, tables.Comparison.id)):
            batch._keep_comparison(comparison)
        batch._assignments = {
            (row.response_id, row.annotator_id): row
            for row in await session.scalars(
                select(tables.Assignment).where(tables.Assignment.response_id.in_(annotated))
            )
        }
        scored = select(tables.Score.response_id).where(tables.Score.response_id.in_(annotated))
        batch._scored = set(await session.scalars(scored))
        for kind in (tables.Response, tables.Annotation, tables.Comparison):
            batch._moments[kind] = await next_moment(session, kind, now)
        return batch

    def _keep(self, row: tables.Annotation) -> None:
        self._annotations[row.submission_id] = row
        key = (row.response_id, row.annotator_id)
        if key not in self._latest or self._latest[key].version < row.version:
            self._latest[key] = row

    def _keep_comparison(self, row: tables.Comparison) -> None:
        self._comparisons[row.submission_id] = row
        self._preferred[row.annotator_id, frozenset((row.a, row.b))] = _preferred(row)

    def _moment(self, kind: Any) -> datetime:
        """A time later than that of every row of a table."""
        moment = self._moments[kind]
        self._moments[kind] = moment + timedelta(microseconds=1)
        return moment

    async def add(self, item: ImportedFeedback) -> Outcome:
        """Add an item's rows. Raises Conflict, InvalidRequest and Refused before it has added any."""
        rows = {
            response.id: self._responses.get(response.id) or responses.row_of(response) for response in item.responses
        }
        for response in item.responses:
            if rows[response.id].text != response.text:
                raise Conflict(f"The answer {response.id[:64]!r} has a different text in the store.", "response_id")
        annotated = rows[item.annotation.response_id]
        annotator = self._annotators.get(item.annotation.annotator)
        outcome = self._outcome(item, annotator)
        comparisons = [
            comparison
            for comparison in item.comparisons
            if not (outcome == "again" and _says_nothing(comparison, rows))
            and not self._compared(comparison, rows[comparison.a], rows[comparison.b], annotator)
        ]
        if outcome == "again" and not comparisons:
            return outcome
        if annotator is not None and annotator.retired is not None:
            raise InvalidRequest(f"The annotator {annotator.name[:64]!r} has retired.", "annotator")
        if violations := check(item.annotation, recorded_of(annotated), fatal=True):
            raise Refused(violations)
        if annotator is None:
            annotator = await self._sign_in(item.annotation.annotator)
        for row in rows.values():
            if row.id not in self._responses:
                row.created = self._moment(tables.Response)
                self._responses[row.id] = row
                self._new_responses.append(row)
        for comparison in comparisons:
            self._compare(comparison, annotator)
        if outcome == "again":  # only a preference has changed
            return "corrected"
        self._annotate(item, outcome, annotator)
        return outcome

    async def _sign_in(self, name: str) -> tables.Annotator:
        annotator = await annotators.add(self._session, name, self._now)
        alike = {other for other in self._names if annotators.key_of(other) == annotator.key}
        self._annotators |= dict.fromkeys(alike, annotator)
        return annotator

    def _outcome(self, item: ImportedFeedback, annotator: tables.Annotator | None) -> Outcome:
        """What importing an annotation amounts to. Raises Conflict if its id belongs to another response."""
        new = item.annotation
        if item.successor in self._annotations:
            return "again"
        stored = self._annotations.get(new.submission_id)
        if stored is None:
            return "stored"
        if stored.response_id != new.response_id:
            raise Conflict("This submission_id is already stored for another response.", "submission_id")
        if annotator is None:
            return "corrected"
        content = new.model_dump(mode="json", include=set(_ANNOTATION))
        latest = self._latest.get((new.response_id, annotator.id))
        own = [row for row in (stored, latest) if row is not None and row.annotator_id == annotator.id]
        same = any(all(getattr(row, name) == value for name, value in content.items()) for row in own)
        return "again" if same else "corrected"

    def _compared(
        self, new: Comparison, a: tables.Response, b: tables.Response, annotator: tables.Annotator | None
    ) -> bool:
        """Whether a comparison says nothing new: it is stored, or the annotator has the same preference.

        A tie may stand for no preference, so it replaces none. Raises Conflict and InvalidRequest if the comparison
        cannot be stored.
        """
        if a.id == b.id or a.prompt_key != b.prompt_key:
            raise InvalidRequest(
                f"The answers {a.id[:64]!r} and {b.id[:64]!r} do not answer the same question from the same passages.",
                "b",
            )
        stored = self._comparisons.get(new.submission_id)
        if stored is None:
            preferred = None if annotator is None else self._preferred.get((annotator.id, frozenset((new.a, new.b))))
            return preferred is not None and (new.choice == "tie" or preferred == _preferred(new))
        if annotator is None or (stored.a, stored.b, stored.choice, stored.annotator_id) != (
            new.a, new.b, new.choice, annotator.id,
        ):  # fmt: skip
            raise Conflict("The submission_id of a comparison is stored with different content.", "submission_id")
        return True

    def _compare(self, new: Comparison, annotator: tables.Annotator) -> None:
        values = new.model_dump(mode="json", exclude={"annotator"})
        row = tables.Comparison(**values, annotator_id=annotator.id, created=self._moment(tables.Comparison))
        self._keep_comparison(row)
        self._new_comparisons.append((annotator.name, row))

    def _annotate(self, item: ImportedFeedback, outcome: Outcome, annotator: tables.Annotator) -> None:
        new: Annotation = item.annotation
        values = new.model_dump(mode="json", exclude={"annotator"})
        if outcome == "corrected":
            values["submission_id"] = item.successor
        key = (new.response_id, annotator.id)
        latest = self._latest.get(key)
        row = tables.Annotation(
            **values,
            annotator_id=annotator.id,
            version=1 if latest is None else latest.version + 1,
            created=self._moment(tables.Annotation),
        )
        self._keep(row)
        self._new_annotations.append((annotator.name, row))
        assignment = self._assignments.get(key)
        if assignment is None:
            assignment = tables.Assignment(response_id=key[0], annotator_id=key[1], created=self._now)
            self._assignments[key] = assignment
            self._new_assignments.append(assignment)
        assignment.state, assignment.draft, assignment.skip_reason = "submitted", None, None
        assignment.updated = self._now

    async def finish(self) -> None:
        """Write the rows, those that others refer to first, and what follows from them."""
        await self._session.flush()
        await self._insert(self._new_responses)
        await self._insert(self._new_assignments)
        await self._insert_audited(tables.Annotation, self._new_annotations, "annotate", "annotation")
        await self._insert_audited(tables.Comparison, self._new_comparisons, "compare", "comparison")
        for response_id in self._scored & {row.response_id for _, row in self._new_annotations}:
            await responses.update_disagreement(self._session, self._responses[response_id])

    async def _insert_audited(self, table: Any, rows: Sequence[tuple[str, Any]], action: str, what: str) -> None:
        """Insert rows, each with the name of who said it, and record that."""
        await self._insert([row for _, row in rows])
        people = {row.submission_id: who for who, row in rows}
        query = select(table.id, table.submission_id).where(table.submission_id.in_(people)).order_by(table.id)
        stored = (await self._session.execute(query)).all()
        await self._insert(
            [
                tables.Audit(at=self._now, who=people[name], action=action, what=f"{what} {row_id}")
                for row_id, name in stored
            ]
        )

    async def _insert(self, rows: Sequence[Any]) -> None:
        """Insert rows of one table in one statement. The session would ask for the id of each by itself."""
        if rows:
            unset = {"id"} if getattr(rows[0], "id", "") is None else set()
            columns = {column.key for column in inspect(type(rows[0])).column_attrs} - unset
            values = [{name: getattr(row, name) for name in columns} for row in rows]
            await self._session.execute(insert(type(rows[0])), values)


def _preferred(comparison: Comparison | tables.Comparison) -> str:
    """The id of the better response, or "tie"."""
    return {"a": comparison.a, "b": comparison.b}.get(comparison.choice, "tie")


def _says_nothing(comparison: Comparison, rows: Mapping[str, tables.Response]) -> bool:
    """Whether a comparison changes nothing beside an annotation that is stored: a tie, or not of one prompt."""
    return comparison.choice == "tie" or rows[comparison.a].prompt_key != rows[comparison.b].prompt_key
