"""No query of the store reads a whole table, so that it does not slow down as the store grows.

The plans are those of a nearly empty database, without statistics: they do not depend on the size.
"""

import json
import re
from datetime import timedelta

import pytest
from sqlalchemy import event

from service.feedback.records import Comparison, ImportedFeedback, QuickFeedback

pytestmark = pytest.mark.anyio
GROWING = ("responses", "scores", "annotations", "comparisons", "quick_feedback", "assignments", "audit")
ANALYSES = ("count(",)
"""What is asked now and then and counts everything."""


@pytest.fixture
async def asked(store):
    """The statements that the store has sent since, with their parameters."""
    engine, statements = store._database._engine.sync_engine, {}

    def keep(connection, cursor, statement, parameters, context, many):
        if statement.startswith(("SELECT", "UPDATE", "DELETE")) and not many:
            statements.setdefault(statement, parameters)

    event.listen(engine, "before_cursor_execute", keep)
    yield statements
    event.remove(engine, "before_cursor_execute", keep)


async def use_everything(store, answer, annotation, scored, clock):
    await store.record([answer("r1"), answer("r2", "Other."), answer("r3", "Third.", caller="key:9")])
    for name in ("r1", "r2"):
        await store.record_scores(name, "v1", scored())
    await store.sign_in("Ann")
    for order in ("sampled", "error_rate", "uncertain", "disagreed"):
        assignment = await store.next_response_for("Ann", order)
    await store.sign_in("Bob")
    await store.next_response_for("Bob", "error_rate")
    await store.traffic(await store.sampling_levels(clock.now), clock.now)
    await store.traffic(await store.sampling_levels(), profile="medium")
    await store.start_of_the_last(1)
    await store.save_draft("Ann", assignment.response.id, {})
    await store.skip("Ann", "r3", "")
    await store.next_pair("Ann")
    await store.submit(annotation(), based_on=0)
    await store.compare(Comparison(submission_id="c", a="r1", b="r2", choice="a", annotator="Ann"), based_on=0)
    await store.quick_feedback(QuickFeedback(submission_id="q", response_id="r1", caller="key:1", thumb=1))
    new = annotation("s9", response_id="r9")
    imported = ImportedFeedback(responses=(answer("r9"),), annotation=new, successor="s10")
    assert await store.import_feedback([imported]) == ["stored"]
    for cursor in (None, (await store.responses(limit=1)).next):
        await store.responses(cursor)
        await store.annotations(cursor=None, response_id="r1", latest=True)
        await store.annotations(annotator="Ann")
    page = await store.annotations(limit=1)
    await store.annotations(page.next, latest=True)
    await store.comparisons(annotator="Ann")
    await store.quick_feedback_page(response_id="r1")
    await store.quick_feedback_page()
    await store.prune(clock.now - timedelta(days=1))
    await store.delete_person("key:9")
    await store.delete_person("Ann")


async def test_no_query_reads_a_whole_table(store, asked, answer, annotation, scored, clock):
    await use_everything(store, answer, annotation, scored, clock)
    assert len(asked) > 40
    assert await read_whole(store, asked) == {}


async def test_pages_of_answers_for_error_rates_need_no_sorting(store, asked, clock):
    """Else every page would sort all served answers."""
    levels = await store.sampling_levels(clock.now)
    await store.traffic(levels, clock.now)
    await store.traffic(levels, clock.now, profile="medium")
    sorts = await plans_with(store, asked, "TEMP B-TREE", "Sort")
    assert [statement for statement in sorts if "LIMIT" in statement] == []


async def test_what_can_be_annotated_is_counted_by_an_index_alone(store, asked):
    await store.counts()
    await store.figures()
    counting = "SELECT count(*) AS count_1 \nFROM responses \nWHERE responses.annotatable"
    (statement,) = [statement for statement in asked if statement.startswith(counting)]
    assert await plans_with(store, {statement: asked[statement]}, "ix_responses_annotatable")


async def test_what_a_person_compared_is_counted_in_one_pass(store, asked):
    """Else the time would grow with the square of a person's comparisons."""
    await store.figures()
    (statement,) = [statement for statement in asked if "FROM comparisons" in statement]
    assert not await plans_with(store, {statement: asked[statement]}, "CORRELATED", "SubPlan")


async def test_a_profile_that_is_no_longer_served_is_not_searched_for_answers_to_draw(store, asked, answer, clock):
    await store.record_response(answer("r1", profile="former"))
    clock.move(days=31)
    await store.record_response(answer("r2", profile="medium"))
    await store.next_response_for("Ann", "error_rate")
    drawing = [values for statement, values in asked.items() if "ORDER BY responses.draw_key" in statement]
    assert ["medium" in str(values) for values in drawing] == [True]


async def test_the_next_answer_for_the_error_rate_needs_no_sorting(store, asked, answer, scored):
    """Else each would sort all answers of a month."""
    await store.record([answer("r1")])
    await store.record_scores("r1", "v1", scored())
    await store.sign_in("Ann")
    assert await store.next_response_for("Ann", "error_rate")
    (drawing,) = [statement for statement in asked if "ORDER BY responses.draw_key" in statement]
    assert not await plans_with(store, {drawing: asked[drawing]}, "TEMP B-TREE", "Sort")


async def test_a_missing_index_shows(store, asked, answer, scored):
    async with store._database.writing() as session:
        await (await session.connection()).exec_driver_sql("DROP INDEX ix_scores_created")
    await store.record([answer()])
    await store.record_scores("r1", "v1", scored())
    (statement,) = await read_whole(store, asked)
    assert "max(scores.created)" in statement


async def read_whole(store, asked):
    """The statements that read a table from end to end, with the tables."""
    async with store._database.reading() as session:
        connection = await session.connection()
        plan = sqlite_plan if store._database.sqlite else postgresql_plan
        return {
            text: tables
            for text, values in asked.items()
            if not any(part in text for part in ANALYSES) and (tables := await plan(connection, text, values))
        }


async def plans_with(store, asked, sqlite, postgresql=None):
    """The statements whose plans have these words, those of SQLite or, if they differ, those of PostgreSQL."""
    async with store._database.reading() as session:
        connection = await session.connection()
        if not store._database.sqlite:
            await connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        explain, words = ("EXPLAIN QUERY PLAN", sqlite) if store._database.sqlite else ("EXPLAIN", postgresql or sqlite)
        return [
            statement
            for statement, values in asked.items()
            if any(words in row[-1] for row in await connection.exec_driver_sql(f"{explain} {statement}", values))
        ]


async def sqlite_plan(connection, statement, values):
    """The tables that a statement reads from end to end."""
    rows = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
    steps = [(row.detail.split(), row.detail) for row in rows if row.detail.startswith(("SCAN ", "SEARCH "))]
    return [
        detail
        for (verb, table, *_), detail in steps
        # The largest value without an index is called a search; a walk along an index ends at the limit.
        if re.sub(r"_\d+$", "", table) in GROWING
        and ("USING" not in detail or (verb == "SCAN" and "LIMIT" not in statement))
    ]


async def postgresql_plan(connection, statement, values):
    """The same, where an index is used wherever there is one."""
    await connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
    (plan,) = (await connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", values)).scalars()
    return sorted(sequential(plan if isinstance(plan, list) else json.loads(plan)))


def sequential(plan):
    if isinstance(plan, list):
        return {table for part in plan for table in sequential(part)}
    if not isinstance(plan, dict):
        return set()
    own = {plan["Relation Name"]} if plan.get("Node Type") == "Seq Scan" else set()
    return (own & set(GROWING)) | {table for part in plan.values() for table in sequential(part)}


@pytest.mark.parametrize("scores", [1, 30])
async def test_scores_are_written_with_as_many_statements_each_however_many_there_are(store, answer, scored, scores):
    """The time of each is later than that of all others, and found by an index."""
    await store.record([answer(f"r{n}") for n in range(scores + 1)])
    for n in range(scores):
        await store.record_scores(f"r{n}", "v1", scored())
    statements = []
    engine = store._database._engine.sync_engine
    event.listen(engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
    await store.record_scores(f"r{scores}", "v1", scored())
    assert len([text for text in statements if not text.startswith(("BEGIN", "COMMIT", "SET", "SELECT pg_"))]) == 8
