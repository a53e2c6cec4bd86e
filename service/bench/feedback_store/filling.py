"""Filling a feedback store with many answers at once, past its interface, which takes them one by one.

The store then looks like one that a service has written to for 60 days. A hundredth of the answers is annotated, those
that the order `sampled` hands out first, and a hundredth has a thumb. Half of the answers are older than WINDOW, and of
these some are by a profile that is no longer served.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, select, text, update

from service.bench.feedback_store.answers import Answers, caller, scores_of
from service.feedback.store.annotation_priority import derived_columns, disagreement, uncertainty
from service.feedback.store.annotators import add
from service.feedback.store.database import Database
from service.feedback.store.sampling.draw_keys import SAMPLED, draw_key
from service.feedback.store.sampling.draws import WINDOW
from service.feedback.store.tables import Annotation, Assignment, QuickFeedback, Response, Score

Progress = Callable[[str, int, int], None]
"""Called with what is done, how much of it is done, and how much there is."""
Rows = Mapping[Any, Sequence[dict[str, Any]]]
"""By table."""
SHARE = 100
"""One of so many answers is annotated, and one has a thumb."""
FORMER = "former"
"""The profile that is no longer served."""
_FORMER_SHARE = 4
"""One of so many old answers is by that profile."""
_ANNOTATORS = 10
_AT_ONCE = 2_000
"""Answers written in one transaction."""


async def fill(database: Database, answers: Answers, first: int, count: int, progress: Progress) -> None:
    """Add answers with scores, `count` of them from the number `first` on, and feedback on some. Raises StoreFailed."""
    now = datetime.now(UTC)
    begin = now - 2 * WINDOW
    for start in range(0, count, _AT_ONCE):
        progress("Filling the store", start, count)
        rows: dict[Any, list[dict[str, Any]]] = {Response: [], Score: [], QuickFeedback: []}
        for place in range(start, min(start + _AT_ONCE, count)):
            created = begin + 2 * WINDOW * place / count
            _add_answer(rows, answers, first + place, created, former=created < now - WINDOW)
        await database.to_its_end(_insert(database, rows))
    progress("Filling the store", count, count)
    await database.to_its_end(_annotate(database, count // SHARE, begin))
    if not database.sqlite:
        async with database.writing() as session:
            await session.execute(text("ANALYZE"))  # as PostgreSQL does by itself some minutes later


def _add_answer(
    rows: Mapping[Any, list[dict[str, Any]]], answers: Answers, number: int, created: datetime, former: bool
) -> None:
    answer = answers.served(number)
    scores = scores_of(answer)
    columns = derived_columns(answer.id, answer.question, answer.passages, answer.text)
    columns["uncertainty"] = uncertainty(scores.scored)
    columns["draw_key"] = draw_key(columns["lot"], columns["uncertainty"])
    if former and number % _FORMER_SHARE == 0:
        columns["profile"] = FORMER
    rows[Response].append(answer.model_dump(mode="json") | columns | {"created": created})
    rows[Score].append(scores.model_dump(exclude={"scored"}) | {"json": scores.scored, "created": created})
    if number % SHARE == 0:
        rows[QuickFeedback].append(
            {
                "submission_id": f"thumb {number}",
                "response_id": answer.id,
                "caller": caller(number // SHARE),
                "thumb": 1 if number % (2 * SHARE) == 0 else -1,
                "spans": [],
                "created": created,
            }
        )


async def _annotate(database: Database, count: int, begin: datetime) -> None:
    """Annotate the answers that the order `sampled` hands out first, `count` of them since the time `begin`."""
    async with database.reading() as session:
        first = (
            select(Response.id, Response.lot, Score.json)
            .join(Score, Score.response_id == Response.id)
            .where(Response.source == "served", Response.annotatable)
            .order_by(Response.lot)
            .limit(count)
        )
        drawn = (await session.execute(first)).all()
    async with database.writing() as session:
        people = [(await add(session, f"Annotator {number}", begin)).id for number in range(_ANNOTATORS)]
    rows: dict[Any, list[dict[str, Any]]] = {Assignment: [], Annotation: []}
    disagreements = []
    for place, (response_id, lot, scored) in enumerate(drawn):
        created = begin + 2 * WINDOW * place / count
        by = {"response_id": response_id, "annotator_id": people[place % _ANNOTATORS], "created": created}
        sampling = {"sampling_order": SAMPLED, "sampling_rate": 1.0, "sampling_level": lot}
        rows[Assignment].append(by | sampling | {"state": "submitted", "updated": created})
        segment = scored["scores"]["relevance"]["segments"][0]
        error = {"label": "Irrelevant", "start": segment["start"], "end": segment["end"], "explanation": ""}
        marks = {"errors": [error], "missing": [], "suggestions": []}
        rows[Annotation].append(by | marks | {"submission_id": f"annotation {response_id}", "version": 1})
        disagreements.append({"id": response_id, "disagreement": disagreement(scored, [[error]])})
    await _insert(database, rows)
    if disagreements:
        async with database.writing() as session:
            await session.execute(update(Response), disagreements)


async def _insert(database: Database, rows: Rows) -> None:
    async with database.writing() as session:
        for table, values in rows.items():
            if values:
                await session.execute(insert(table), values)
