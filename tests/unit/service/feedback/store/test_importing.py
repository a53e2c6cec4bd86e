"""Feedback of files is stored in batches."""

import pytest
from sqlalchemy import event

from service.feedback.records import Comparison, ImportedFeedback

pytestmark = pytest.mark.anyio


@pytest.fixture
def item(answer, annotation):
    """Makes feedback of a file on a response of its own, which is compared with another."""

    def make(n, name="Ann"):
        texts = {f"r{n}-{part}": f"Answer {part}." for part in "ab"}
        responses = tuple(answer(name, text, question=f"{n}?", source="imported") for name, text in texts.items())
        compared = Comparison(submission_id=f"c{n}", a=responses[0].id, b=responses[1].id, choice="a", annotator=name)
        return ImportedFeedback(
            responses=responses,
            annotation=annotation(f"s{n}", response_id=responses[0].id, annotator=name, errors=(), missing=()),
            successor=f"s{n}-2",
            comparisons=(compared,),
        )

    return make


async def test_a_batch_takes_as_many_statements_as_an_item(store, item):
    statements = []
    engine = store._database._engine.sync_engine
    event.listen(engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
    assert await store.import_feedback([item(0)]) == ["stored"]
    single = len(statements)
    statements.clear()
    assert await store.import_feedback([item(n) for n in range(1, 60)]) == ["stored"] * 59
    assert len(statements) == single
    counts = await store.counts()
    assert (counts.responses, counts.annotations, counts.comparisons, counts.annotators) == (120, 60, 60, 1)
    assert [a.submission_id for a in (await store.annotations()).items] == [f"s{n}" for n in range(60)]


async def test_an_imported_annotation_moves_the_disagreement_of_a_scored_response(store, item, scored):
    imported = item(0)
    await store.record(imported.responses)
    await store.record_scores("r0-a", "v1", scored(0.9))
    await store.import_feedback([imported])
    assert (await store.next_response_for("Ann", "disagreed")).response.id == "r0-b"
    await store.sign_in("Bob")
    assert (await store.next_response_for("Bob", "disagreed")).response.id == "r0-a"


async def test_an_import_signs_people_in_once_and_refuses_who_has_retired(store, item):
    await store.sign_in("Cy")
    await store.retire("Cy")
    outcomes = await store.import_feedback([item(0, "Bob"), item(1, "bob "), item(2, "cy"), item(3, "BOB")])
    assert outcomes[:2] + outcomes[3:] == ["stored"] * 3
    assert "has retired" in str(outcomes[2])
    assert [person.name for person in await store.annotators()] == ["Ann", "Cy", "Bob"]
