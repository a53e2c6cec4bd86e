"""What the store stores and hands out, on SQLite and on PostgreSQL."""

import asyncio
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from service.domain.caller import SCOPES, Caller
from service.errors import Forbidden, InvalidRequest
from service.feedback.errors import Conflict, HasFeedback, NotStored, Refused, Stale
from service.feedback.figures import Progress
from service.feedback.records import (
    Comparison,
    ImportedFeedback,
    NewResponse,
    NewScores,
    QuickFeedback,
    QuickSpan,
    Span,
    Suggestion,
)
from service.feedback.store import tables
from service.feedback.store.paging import all_items

pytestmark = pytest.mark.anyio
ONE, TWO = (Caller(f"key:{number}", frozenset({"feedback"})) for number in (1, 2))
FAMILY = "A 👩‍👩‍👧 in e\u0301te\u0301 \x00 end."


async def test_a_response_comes_back_as_it_was(store, answer, scored):
    response = answer(
        text=FAMILY, weights={"relevance": 0.3}, finish_reason="stop", policy="0123", extra={"gold": "g\x00"}
    )
    assert await store.record_response(response) is True
    assert await store.record_response(answer(text="other")) is False
    stored = await store.response("r1")
    assert {name: getattr(stored, name) for name in NewResponse.model_fields} == dict(response)
    assert stored.scored is None
    await store.record_scores("r1", "v1", scored())
    await store.record_scores("r1", "v1", scored(0.1))
    assert (await store.response("r1")).scored == scored()
    await store.record_scores("r1", "v2", scored(0.1))
    stored = await store.response("r1")
    assert (stored.scored, stored.rewards) == (scored(0.1), "v2")


async def test_ids_and_names_that_are_not_stored(store, scored):
    with pytest.raises(NotStored, match="no response 'r9'"):
        await store.response("r9")
    with pytest.raises(NotStored):
        await store.record_scores("r9", "v1", scored())
    with pytest.raises(NotStored, match="sign in first"):
        await store.next_response_for("Bob")
    assert await store.record([], [NewScores(response_id="r9", rewards="v1", scored=scored())]) == 0


async def test_an_annotation_is_stored_once(store, answer, annotation):
    await store.record_response(answer())
    suggestion = Suggestion(category="relevance", start=0, end=3, outcome="rejected")
    submission = annotation(seconds=1.5, suggestions=(suggestion,))
    first, again = await store.submit(submission), await store.submit(submission)
    assert (first.version, first.again) == (1, False)
    assert (again.id, again.version, again.again) == (first.id, 1, True)
    (stored,) = (await store.annotations()).items
    assert {name: getattr(stored, name) for name in type(submission).model_fields} == dict(submission)


async def test_a_submission_id_with_different_content_is_refused(store, answer, annotation):
    await store.record([answer(), answer("r2", "Other text of the film.")])
    await store.sign_in("Bob")
    await store.submit(annotation())
    for other in ({"corrected": "Different."}, {"annotator": "Bob"}, {"response_id": "r2"}):
        with pytest.raises(Conflict, match="under a new id"):
            await store.submit(annotation(**other))
    assert len((await store.annotations()).items) == 1


@pytest.fixture
def acting(store, annotation):
    """What the store does for an annotator on behalf of a caller."""
    comparison = Comparison(submission_id="c1", annotator="Ann", a="r1", b="r2", choice="a")
    return {
        "annotator": lambda by: store.sign_in("Ann", by),
        "save_draft": lambda by: store.save_draft("Ann", "r1", {"by": by.id}, by),
        "skip": lambda by: store.skip("Ann", "r1", "", by),
        "submit": lambda by: store.submit(annotation(), by=by),
        "compare": lambda by: store.compare(comparison, by=by),
    }


@pytest.mark.parametrize("what", ["annotator", "save_draft", "skip", "submit", "compare"])
async def test_a_name_belongs_to_the_key_that_first_used_it(store, answer, acting, what):
    await store.record([answer(), answer("r2", "Other text of the film.")])
    assert (await store.sign_in("Ann")).caller is None
    await acting[what](ONE)
    assert (await store.sign_in("Ann")).caller == "key:1"
    with pytest.raises(Forbidden, match="belongs to another key; use that key or another name") as refused:
        await acting[what](TWO)
    assert refused.value.param == "annotator"
    await acting[what](ONE)
    await acting[what](Caller("key:3", frozenset({"feedback", "admin"})))
    await acting[what](Caller("10.0.0.1", frozenset(SCOPES)))  # no key at all
    assert (await store.sign_in("Ann")).caller == "key:1"


async def test_a_refused_draft_changes_nothing(store, answer):
    await store.record_response(answer())
    await store.save_draft("Ann", "r1", {"mine": True}, ONE)
    with pytest.raises(Forbidden):
        await store.save_draft("Ann", "r1", {"mine": False}, TWO)
    assert (await store.next_response_for("Ann")).draft == {"mine": True}


async def test_a_key_has_several_names_and_a_name_that_is_released_goes_to_the_next(store):
    for name in ("Bob", "Cy"):
        await store.sign_in(name, ONE)
    owners = {person.name: person.caller for person in await store.annotators()}
    assert owners == {"Ann": None, "Bob": "key:1", "Cy": "key:1"}
    await store.release("Bob")
    assert (await store.sign_in("Bob", TWO)).caller == "key:2"
    with pytest.raises(NotStored):
        await store.release("Dan")
    # Deleting a key also frees the names it used.
    await store.delete_person("key:1")
    assert (await store.sign_in("Cy")).caller is None


async def test_two_keys_that_use_a_new_name_concurrently(store, open_, together):
    async def use(by):
        try:
            return (await (await open_()).sign_in("New", by)).caller
        except Forbidden:
            return None

    callers = await together(use(ONE), use(TWO))
    assert callers in (["key:1", None], [None, "key:2"])


async def test_a_correction_is_a_new_version(store, answer, annotation):
    await store.record_response(answer())
    await store.sign_in("Bob")
    await store.submit(annotation("s1"))
    await store.submit(annotation("s2", corrected="Second."))
    await store.submit(annotation("s3", annotator="Bob"))
    versions = (await store.annotations()).items
    assert [(a.annotator, a.version) for a in versions] == [("Ann", 1), ("Ann", 2), ("Bob", 1)]
    latest = (await store.annotations(latest=True)).items
    assert [a.submission_id for a in latest] == ["s2", "s3"]
    assert [a.submission_id for a in (await store.annotations(annotator="Ann")).items] == ["s1", "s2"]
    assert (await store.annotations(response_id="r9")).items == ()


async def test_imports_are_refused_only_for_fatal_violations(store, answer, annotation):
    await store.record_response(answer())
    overlap = (Span(label="Irrelevant", start=0, end=9), Span(label="Redundant", start=4, end=13))
    with pytest.raises(Refused, match="overlaps") as refused:
        await store.submit(annotation(errors=overlap, corrected=None))
    assert [v.code for v in refused.value.violations] == ["overlap", "no_correction"]
    assert refused.value.body()["error"]["violations"][0]["field"] == "errors.1"
    outside = annotation("s2", errors=(Span(label="Irrelevant", start=0, end=999),))
    stored, refused = await store.import_feedback(
        [
            ImportedFeedback(responses=(answer(),), annotation=imported, successor="x")
            for imported in (annotation(errors=overlap, corrected=None), outside)
        ]
    )
    assert stored == "stored"
    assert isinstance(refused, Refused)
    assert "not within" in str(refused)


async def test_offsets_are_code_points(store, answer, annotation):
    await store.record_response(answer(text=FAMILY))
    start = FAMILY.index("👩")
    await store.submit(annotation(errors=(Span(label="Irrelevant", start=start - 1, end=start + 6),)))
    (stored,) = (await store.annotations()).items
    text = (await store.response("r1")).text
    assert text[stored.errors[0].start : stored.errors[0].end] == "👩‍👩‍👧"


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.text(st.characters(exclude_categories=("Cs",)), min_size=1), st.data())
def test_any_text_and_span_comes_back(tmp_path_factory, text, data):
    from service.feedback.records import Annotation
    from service.feedback.store.feedback_store import open_store

    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))

    async def go():
        store = await open_store(f"sqlite:///{tmp_path_factory.mktemp('any')}/x.db")
        span = Span(label="Irrelevant", start=start, end=end, explanation=text)
        new = Annotation(submission_id="s", response_id="r", annotator="Ann", errors=(span,), corrected=text)
        (outcome,) = await store.import_feedback(
            [ImportedFeedback(responses=(NewResponse(id="r", text=text),), annotation=new, successor="s2")]
        )
        assert outcome == "stored"
        (stored,) = (await store.annotations()).items
        response = await store.response("r")
        await store.close()
        assert (stored.errors, stored.corrected, response.text) == ((span,), text, text)

    asyncio.run(go())


async def test_concurrent_annotators_lose_and_duplicate_nothing(open_, answer, annotation):
    stores = [await open_() for _ in range(3)]
    await stores[0].record_response(answer())
    names = [f"annotator {i}" for i in range(3)]
    await asyncio.gather(*(store.sign_in(name) for store in stores for name in names))
    assert len(await stores[0].annotators()) == 3
    submitted = [annotation(f"{name} {i}", annotator=name) for name in names for i in range(4)]
    # Every submission arrives three times, once at each process.
    receipts = await asyncio.gather(*(store.submit(submission) for submission in submitted for store in stores))
    assert sum(not receipt.again for receipt in receipts) == len(submitted)
    stored = (await stores[1].annotations()).items
    assert sorted(a.submission_id for a in stored) == sorted(a.submission_id for a in submitted)
    for name in names:
        assert [a.version for a in stored if a.annotator == name] == [1, 2, 3, 4]
    assert [a.created for a in stored] == sorted({a.created for a in stored})


async def test_no_response_is_handed_to_more_people_than_wanted(open_, answer):
    stores = [await open_(overlap=0) for _ in range(2)]
    await stores[0].record([answer(f"r{i}") for i in range(6)])
    names = [f"annotator {i}" for i in range(6)]
    for name in names:
        await stores[0].sign_in(name)
    handed = await asyncio.gather(*(stores[i % 2].next_response_for(name) for i, name in enumerate(names)))
    assert len({assignment.response.id for assignment in handed}) == 6
    assert (await stores[0].next_response_for(names[0])).response.id == handed[0].response.id


async def test_an_overlapping_response_goes_to_two(open_, answer, annotation):
    store = await open_(overlap=1)
    await store.record_response(answer())
    for name in ("Ann", "Bob", "Cid"):
        await store.sign_in(name)
    assert (await store.next_response_for("Ann")).response.id == "r1"
    await store.submit(annotation())
    assert await store.next_response_for("Ann") is None
    assert (await store.next_response_for("Bob")).response.id == "r1"
    assert await store.next_response_for("Cid") is None


async def test_drafts_are_stored_and_come_first(store, answer, annotation):
    await store.record([answer("r1"), answer("r2")])
    draft = {"errors": [{"label": "👍"}]}
    await store.save_draft("Ann", "r1", draft)
    assignment = await store.next_response_for("Ann")
    assert (assignment.response.id, assignment.state, assignment.draft) == (
        "r1",
        "drafted",
        {"errors": [{"label": "👍"}]},
    )
    await store.submit(annotation())
    assignment = await store.next_response_for("Ann")
    assert (assignment.response.id, assignment.state, assignment.draft) == ("r2", "open", None)


async def test_a_skipped_response_goes_to_others(store, answer):
    await store.record([answer("r1")])
    await store.sign_in("Bob")
    await store.next_response_for("Ann")
    assert await store.next_response_for("Bob") is None
    await store.skip("Ann", "r1", "I do not know film.")
    assert await store.next_response_for("Ann") is None
    assert (await store.next_response_for("Bob")).response.id == "r1"


async def test_a_response_not_begun_within_a_day_goes_to_others(open_, answer, clock):
    store = await open_(overlap=0)
    await store.record([answer("r1")])
    for name in ("Ann", "Bob"):
        await store.sign_in(name)
    await store.next_response_for("Ann")
    clock.move(hours=23)
    assert await store.next_response_for("Bob") is None
    clock.move(hours=2)
    assert (await store.next_response_for("Bob")).response.id == "r1"


async def test_the_most_uncertain_comes_first(store, answer, scored):
    await store.record([answer(f"r{i}") for i in range(4)])
    for name, probability in (("r0", 0.1), ("r1", 0.9), ("r2", 0.45)):
        await store.record_scores(name, "v1", scored(probability))
    order = []
    while assignment := await store.next_response_for("Ann", "uncertain"):
        order.append(assignment.response.id)
        await store.skip("Ann", assignment.response.id, "")
    assert order[0] == "r2"
    assert order[-1] == "r3"  # not scored


async def test_the_most_disputed_comes_first(open_, answer, annotation, scored):
    store = await open_(overlap=0)
    for name in ("Ann", "Bob"):
        await store.sign_in(name)
    await store.record([answer(f"r{i}") for i in range(3)])
    for i in range(3):
        await store.record_scores(f"r{i}", "v1", scored(0.9))
    await store.submit(annotation("s0", response_id="r0", errors=(Span(label="Irrelevant", start=0, end=9),)))
    await store.submit(annotation("s1", response_id="r1", errors=(), missing=(), corrected=None))
    assert (await store.next_response_for("Bob", "disagreed")).response.id == "r1"


async def test_a_response_that_cannot_be_annotated_is_not_handed_out(store, answer):
    await store.record([answer("r1", question=""), answer("r2", passages=()), answer("r3", " ")])
    assert await store.next_response_for("Ann") is None


async def test_quick_feedback(store, answer):
    await store.record_response(answer())
    feedback = QuickFeedback(
        submission_id="q1", response_id="r1", caller="key:1", thumb=-1, comment="no 👎\x00",
        spans=(QuickSpan(start=0, end=3, label="Irrelevant"),),
    )  # fmt: skip
    assert not (await store.quick_feedback(feedback)).again
    assert (await store.quick_feedback(feedback)).again
    with pytest.raises(Conflict):
        await store.quick_feedback(feedback.model_copy(update={"thumb": 1}))
    with pytest.raises(Conflict):
        await store.quick_feedback(feedback.model_copy(update={"caller": "key:2"}))
    with pytest.raises(Refused):
        await store.quick_feedback(
            feedback.model_copy(update={"submission_id": "q2", "spans": (QuickSpan(start=0, end=999),)})
        )
    (stored,) = (await store.quick_feedback_page(response_id="r1")).items
    assert (stored.thumb, stored.comment, stored.spans) == (-1, "no 👎\x00", feedback.spans)


async def test_pairs_answer_one_question_and_the_order_shown_is_recorded(store, answer):
    await store.record([answer(f"r{i}", f"Answer {i}.") for i in range(3)])
    await store.record([answer("same", "Answer 0."), answer("other", question="Another one?")])
    seen = {}
    while pair := await store.next_pair("Ann"):
        names = frozenset((pair.a.id, pair.b.id))
        assert names not in seen
        assert pair.a.text != pair.b.text
        assert "other" not in names
        seen[names] = pair
        assert (await store.next_pair("Ann")).shown_first == pair.shown_first
        wrong = "b" if pair.shown_first == "a" else "a"
        comparison = Comparison(
            submission_id=f"c{len(seen)}", a=pair.a.id, b=pair.b.id, choice="tie", annotator="Ann", shown_first=wrong
        )
        assert not (await store.compare(comparison)).again
        assert (await store.compare(comparison)).again
    assert len(seen) == 5
    for stored in (await store.comparisons(annotator="Ann")).items:
        assert stored.shown_first == seen[frozenset((stored.a, stored.b))].shown_first
        with pytest.raises(Conflict):
            await store.compare(
                Comparison(submission_id=stored.submission_id, a=stored.a, b=stored.b, choice="a", annotator="Ann")
            )


async def test_either_is_shown_first_as_often(store):
    from service.feedback.store.annotation_queue import shown_first

    firsts = [shown_first(f"x{i}", f"y{i}", "Ann") for i in range(400)]
    assert 160 < firsts.count("a") < 240
    assert all((shown_first(f"y{i}", f"x{i}", "Ann") == "a") == (first == "b") for i, first in enumerate(firsts))


async def test_a_circle_of_comparisons_is_reported(store, answer):
    await store.record([answer(f"r{i}", f"Answer {i}.") for i in range(3)])

    def prefer(submission, a, b):
        return store.compare(Comparison(submission_id=submission, a=a, b=b, choice="a", annotator="Ann"))

    assert (await prefer("c1", "r0", "r1")).contradicts == ()
    assert (await prefer("c2", "r1", "r2")).contradicts == ()
    assert set((await prefer("c3", "r2", "r0")).contradicts) == {"r0", "r1", "r2"}
    assert (await prefer("c4", "r0", "r2")).contradicts == ()  # a changed mind replaces c3


async def test_responses_to_different_questions_are_not_compared(store, answer):
    await store.record([answer("r1"), answer("r2", question="Another one?")])
    for a, b in (("r1", "r2"), ("r1", "r1")):
        with pytest.raises(InvalidRequest, match="same question"):
            await store.compare(Comparison(submission_id="c", a=a, b=b, choice="a", annotator="Ann"))


async def test_pages_are_stable_under_inserts(store, answer, annotation, clock):
    await store.record([answer(f"r{i}") for i in range(5)])
    for i in range(5):
        await store.submit(annotation(f"s{i}", response_id=f"r{i}"))
    seen, cursor, added = [], None, 5
    while True:
        page = await store.annotations(cursor, 2)
        seen += [a.submission_id for a in page.items]
        if added < 8:
            clock.move(seconds=-1)  # clocks are set back now and then
            await store.submit(annotation(f"s{added}", response_id=f"r{added - 5}"))
            added += 1
        if (cursor := page.next) is None:
            break
    assert seen == [f"s{i}" for i in range(8)]


async def test_every_item_of_all_pages(store, answer, annotation):
    await store.record([answer(f"r{i}") for i in range(7)])
    names = [r.id async for r in all_items(lambda cursor: store.responses(cursor, 3))]
    assert names == [f"r{i}" for i in range(7)]
    await store.submit(annotation(response_id="r3"))
    assert [r.id for r in (await store.responses(annotated=True)).items] == ["r3"]


@pytest.mark.parametrize("cursor", ["", "x", "é", "WzEsMl0=", "bnVsbA==", "W10=", "WyIyMDI2LTAxLTAxIiwgMV0="])
async def test_an_invalid_cursor_is_refused(store, cursor):
    with pytest.raises(InvalidRequest, match="cursor"):
        await store.annotations(cursor)


@pytest.mark.parametrize("limit", [0, -1, 1001])
async def test_limits_of_pages(store, limit):
    with pytest.raises(InvalidRequest, match="from 1 to 1000"):
        await store.annotations(limit=limit)


async def test_the_annotations_of_a_retired_annotator_stay(store, answer, annotation):
    await store.record_response(answer())
    await store.submit(annotation())
    await store.retire("Ann")
    with pytest.raises(InvalidRequest, match="retired"):
        await store.next_response_for("Ann")
    with pytest.raises(InvalidRequest, match="retired"):
        await store.sign_in("Ann")
    assert len((await store.annotations()).items) == 1


async def test_a_person_can_be_deleted(store, answer, annotation, scored):
    await store.record([answer("r1", caller="key:7"), answer("r2", "Other."), answer("r3", "Third.")])
    await store.sign_in("Bob")
    await store.record_scores("r2", "v1", scored())
    for name, response in (("Ann", "r2"), ("Bob", "r2"), ("Bob", "r1")):
        await store.submit(annotation(f"{name} {response}", annotator=name, response_id=response, errors=()))
    await store.save_draft("Ann", "r3", {"x": 1})
    await store.compare(Comparison(submission_id="c1", a="r2", b="r3", choice="a", annotator="Ann"))
    await store.quick_feedback(QuickFeedback(submission_id="q1", response_id="r2", caller="key:7", thumb=1))
    await store.skip_pair("Ann", "r3", "r2", "")
    await store.retire("Ann")
    assert await store.delete_person("Ann") == {
        "annotations": 1, "comparisons": 1, "skipped_pairs": 1, "assignments": 2,
        "quick_feedback": 0, "responses": 0, "annotators": 1,
    }  # fmt: skip
    assert [a.annotator for a in (await store.annotations()).items] == ["Bob", "Bob"]
    async with store._database.reading() as session:
        row = await session.get(tables.Response, "r2")
        assert row.disagreement == 1  # between Bob and the reward models; with Ann the average was two thirds
    assert (await store.delete_person("key:7"))["responses"] == 1
    counts = await store.counts()
    assert (counts.responses, counts.annotations, counts.quick_feedback, counts.annotators) == (2, 1, 0, 1)
    async with store._database.reading() as session:
        rows = (await session.execute(select(tables.Audit.who, tables.Audit.what))).all()
    assert "Ann" not in str(rows)
    assert set((await store.delete_person("nobody")).values()) == {0}


async def test_deleting_leaves_nothing_in_the_file(tmp_path, answer):
    from service.feedback.store.feedback_store import open_store

    store = await open_store(f"sqlite:///{tmp_path}/x.db")
    await store.record([answer("r1", "A secret of somebody.", caller="key:7"), answer("r2", "What stays.")])
    await store.delete_person("key:7")
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    await store.close()
    assert b"What stays" in content
    assert b"secret of somebody" not in content


async def test_old_responses_without_feedback_are_pruned(store, answer, annotation, clock):
    await store.record([answer(f"r{i}", f"Answer {i}. {'x' * 30}") for i in range(6)])
    await store.submit(annotation(response_id="r0"))
    await store.save_draft("Ann", "r1", {})
    await store.quick_feedback(QuickFeedback(submission_id="q1", response_id="r2", caller="c", thumb=1))
    await store.compare(Comparison(submission_id="c1", a="r3", b="r4", choice="a", annotator="Ann"))
    clock.move(days=10)
    await store.record_response(answer("new"))
    assert await store.prune(clock.now - timedelta(days=1)) == 1
    assert {r.id for r in (await store.responses()).items} == {"r0", "r1", "r2", "r3", "r4", "new"}
    assert await store.prune(clock.now - timedelta(days=1), everything=True) == 5
    counts = await store.counts()
    assert (counts.responses, counts.annotations, counts.comparisons, counts.quick_feedback) == (1, 0, 0, 0)


async def test_a_response_is_deleted_unless_it_has_feedback(store, answer, annotation, scored):
    await store.record([answer(f"r{i}", f"Answer {i}. {'x' * 30}") for i in range(6)])
    await store.record_scores("r5", "v1", scored())
    await store.submit(annotation(response_id="r0"))
    await store.save_draft("Ann", "r1", {})
    await store.quick_feedback(QuickFeedback(submission_id="q1", response_id="r2", caller="c", thumb=1))
    await store.compare(Comparison(submission_id="c1", a="r3", b="r4", choice="a", annotator="Ann"))
    for number in range(5):
        with pytest.raises(HasFeedback, match=f"r{number}"):
            await store.delete_response(f"r{number}", "key:1")
    assert [await store.delete_response("r5", "key:1") for _ in range(2)] == [True, False]
    counts = await store.counts()
    assert (counts.responses, counts.scored, counts.annotations, counts.comparisons) == (5, 0, 1, 1)
    async with store._database.reading() as session:
        query = select(tables.Audit.who, tables.Audit.what).filter_by(action="delete_response")
        assert (await session.execute(query)).all() == [("key:1", "r5")]


async def test_counts(store, answer, annotation, scored):
    await store.record([answer("r1"), answer("r2", question="")])
    await store.record_scores("r1", "v1", scored())
    await store.submit(annotation("s1"))
    await store.submit(annotation("s2"))
    assert dict(await store.counts()) == {
        "responses": 2, "scored": 1, "annotatable": 1, "annotated": 1, "annotations": 2, "annotators": 1,
        "quick_feedback": 0, "comparisons": 0,
    }  # fmt: skip


async def test_an_annotator_sees_what_is_done_and_left_and_goes_back_to_it(store, answer, annotation, clock):
    await store.record([answer(f"r{i}", f"Text {i}.", profile="long") for i in range(5)])
    assert await store.progress("Ann", "annotation") == Progress(done=0, today=0, left=5)
    clean = {"errors": (), "missing": (), "corrected": None}
    await store.submit(annotation("s0", response_id="r0", **clean))
    clock.move(days=1)
    morning = clock.now
    errors = (Span(label="Irrelevant", start=0, end=4),)
    await store.submit(annotation("s1", response_id="r1", errors=errors, missing=(), corrected="Better."))
    await store.submit(annotation("s2", response_id="r1", **clean))
    clock.move(minutes=1)
    await store.skip("Ann", "r2", "too long")
    progress = await store.progress("Ann", "annotation", since=morning)
    assert (progress.done, progress.today, progress.left) == (2, 1, 2)
    assert [(row.response_id, row.skipped, row.marks, row.profile) for row in progress.last] == [
        ("r2", True, 0, "long"), ("r1", False, 0, "long"), ("r0", False, 0, "long"),
    ]  # fmt: skip
    again = await store.open_again("Ann", "r1")
    assert (again.state, again.version, again.annotation.submission_id) == ("submitted", 2, "s2")
    unseen = await store.open_again("Ann", "r4")
    assert (unseen.state, unseen.version, unseen.annotation) == ("open", 0, None)
    assert (await store.progress("Ann", "annotation")).left == 2  # nothing was handed out


async def test_a_skipped_pair_is_not_offered_again_and_counts_until_it_is_compared(store, answer):
    await store.record([answer("r1"), answer("r2", "Elsewhere."), answer("r3", "Nowhere.")])
    assert (await store.progress("Ann", "comparison")).left == 3
    pair = await store.next_pair("Ann")
    for _ in range(2):
        await store.skip_pair("Ann", pair.b.id, pair.a.id, "The passages are broken")
    other = await store.next_pair("Ann")
    assert {other.a.id, other.b.id} != {pair.a.id, pair.b.id}
    assert (await store.progress("Ann", "comparison")).left == 2
    figures = await store.figures()
    assert figures.skips == {"annotation": {}, "comparison": {"broken_passages": 1}}
    await store.compare(Comparison(submission_id="c1", a=pair.a.id, b=pair.b.id, choice="neither", annotator="Ann"))
    assert (await store.figures()).skips["comparison"] == {}
    assert await store.progress("Ann", "comparison") == Progress(done=1, today=1, left=2)


async def test_the_figures_of_a_version_are_its_latest_thumbs_and_comparisons(store, answer, annotation):
    await store.record([answer("r1", policy="v1"), answer("r2", "Elsewhere.", policy="v2"), answer("r3", "No.")])
    for name, response, caller, thumb in (
        ("q1", "r1", "a", -1), ("q2", "r1", "a", 1), ("q3", "r1", "b", 1), ("q4", "r2", "a", -1), ("q5", "r2", "b", 1),
        ("q6", "r2", "b", 0),
    ):  # fmt: skip
        await store.quick_feedback(QuickFeedback(submission_id=name, response_id=response, caller=caller, thumb=thumb))
    await store.sign_in("Bob")
    for name, person, a, b, choice in (
        ("c1", "Ann", "r1", "r2", "a"), ("c2", "Ann", "r2", "r1", "a"), ("c3", "Bob", "r1", "r2", "neither"),
    ):  # fmt: skip
        await store.compare(Comparison(submission_id=name, a=a, b=b, choice=choice, annotator=person))
    await store.compare(Comparison(submission_id="c4", a="r3", b="r1", choice="b", annotator="Ann"))
    await store.skip("Bob", "r1", "I cannot judge it")
    await store.skip("Bob", "r2", "It is about my own town.")
    await store.submit(annotation("s1"))
    figures = await store.figures()
    assert [version.model_dump() for version in figures.versions] == [
        {"profile": "medium", "policy": "v1", "thumbs_up": 2, "thumbs_down": 0, "wins": 1, "losses": 1, "ties": 1},
        {"profile": "medium", "policy": "v2", "thumbs_up": 0, "thumbs_down": 1, "wins": 1, "losses": 0, "ties": 1},
    ]
    assert figures.choices == {"a": 1, "b": 1, "tie": 0, "neither": 1}
    assert figures.skips == {"annotation": {"cannot_judge": 1, "own_words": 1}, "comparison": {}}
    assert {name: dict(person) for name, person in figures.people.items()} == {
        "Ann": {"comparisons": 2, "skipped": 0},
        "Bob": {"comparisons": 1, "skipped": 2},
    }
    assert figures.left == 2


async def test_a_submission_based_on_an_older_version_is_refused_with_a_question(store, answer, annotation):
    """Two tabs show the same response; the stale one would replace what the other has submitted."""
    await store.record_response(answer())
    assert (await store.next_response_for("Ann")).version == 0
    await store.submit(annotation("tab A"), based_on=0)
    clean = annotation("tab B", errors=(), missing=(), corrected=None)
    with pytest.raises(Stale, match=r"has submitted version 1 .*, with 2 marks, .* send `based_on` 1") as stale:
        await store.submit(clean, based_on=0)
    assert stale.value.status == 409
    assert stale.value.details == {
        "version": 1,
        "question": "You have submitted this response with 2 marks in the meantime. Do you want to replace that?",
    }
    assert [a.submission_id for a in (await store.annotations(latest=True)).items] == ["tab A"]
    assert (await store.submit(annotation("tab A"), based_on=0)).again  # the reply was lost
    assert (await store.submit(clean, based_on=1)).version == 2
    with pytest.raises(Stale):
        await store.submit(annotation("tab C"), based_on=1)
    assert (await store.submit(annotation("an application that does not say"))).version == 3


async def test_a_stale_draft_or_skip_does_not_reopen_a_submitted_response(store, answer, annotation):
    await store.record([answer("r1")])
    await store.submit(annotation())
    for act in (store.save_draft("Ann", "r1", {"stale": True}), store.skip("Ann", "r1", "")):
        with pytest.raises(Stale):
            await act
    assert await store.next_response_for("Ann") is None
    async with store._database.reading() as session:
        assert (await session.scalars(select(tables.Assignment.state))).all() == ["submitted"]
    await store.save_draft("Ann", "r1", {"correction": True}, based_on=1)
    assignment = await store.next_response_for("Ann")
    assert (assignment.version, assignment.draft) == (1, {"correction": True})


async def test_a_comparison_of_a_pair_that_was_compared_elsewhere_is_refused_with_a_question(store, answer):
    await store.record([answer("r1"), answer("r2", "Other.")])

    def compare(submission, a="r1", b="r2", **based_on):
        comparison = Comparison(submission_id=submission, a=a, b=b, choice="a", annotator="Ann")
        return store.compare(comparison, **based_on)

    await compare("tab A", based_on=0)
    with pytest.raises(Stale, match=r"version 1 of this comparison.* send `based_on` 1") as stale:
        await compare("tab B", "r2", "r1", based_on=0)
    assert stale.value.details["version"] == 1
    await compare("tab B", "r2", "r1", based_on=1)
    assert len((await store.comparisons()).items) == 2


async def test_names_that_differ_in_case_and_outer_space_are_one_person(store, answer, annotation):
    await store.record_response(answer())
    for name in (" ann", "ANN ", "\u00a0Ann", "Ａnn"):  # the last begins with a full-width letter
        assert (await store.sign_in(name)).name == "Ann"
    await store.submit(annotation("s1"))
    await store.submit(annotation("s2", annotator="ann ", corrected="Second."))
    assert [(a.annotator, a.version) for a in (await store.annotations(annotator="aNN")).items] == [
        ("Ann", 1),
        ("Ann", 2),
    ]
    assert [person.name for person in await store.annotators()] == ["Ann"]
    async with store._database.reading() as session:
        assert set(await session.scalars(select(tables.Audit.who))) == {"Ann"}
    with pytest.raises(InvalidRequest, match="name is empty"):
        await store.sign_in(" ")
    assert (await store.delete_person("ann"))["annotations"] == 2
    async with store._database.reading() as session:
        assert set(await session.scalars(select(tables.Audit.who))) == {None}


async def test_served_responses_are_handed_out_before_imported_ones(store, answer):
    await store.record([answer(f"i{n}", source="imported") for n in range(8)])
    await store.record([answer(f"s{n}") for n in range(3)])
    order = []
    for way in ("sampled", "uncertain", "disagreed") * 4:
        if assignment := await store.next_response_for("Ann", way):
            order.append(assignment.response.id)
            await store.skip("Ann", assignment.response.id, "")
    assert {name[0] for name in order[:3]} == {"s"}
    assert {name[0] for name in order[3:]} == {"i"}
    assert len(order) == 11


async def test_served_pairs_come_first_and_imported_ones_only_if_nobody_has_compared_them(store, answer):
    await store.sign_in("Bob")
    await store.record([answer(f"i{n}", f"Imported {n}.", question="Old?", source="imported") for n in range(3)])
    await store.record([answer(f"s{n}", f"Served {n}.", question="New?") for n in range(2)])
    for name in ("s0 s1", "i0 i1"):
        a, b = name.split()
        await store.compare(Comparison(submission_id=name, a=a, b=b, choice="a", annotator="Bob"))
    pairs = []
    while pair := await store.next_pair("Ann"):
        pairs.append((pair.a.id, pair.b.id))
        await store.compare(Comparison(submission_id=str(pairs), a=pair.a.id, b=pair.b.id, choice="a", annotator="Ann"))
    assert pairs[0] == ("s0", "s1")  # Bob's comparison of it does not count for Ann
    assert sorted(pairs[1:]) == [("i0", "i2"), ("i1", "i2")]
