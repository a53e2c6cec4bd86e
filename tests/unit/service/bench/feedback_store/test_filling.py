"""What a filled feedback store looks like."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from service.bench.feedback_store.answers import PROFILES, Answers, scores_of
from service.bench.feedback_store.filling import FORMER, fill
from service.feedback.store.database import Database
from service.feedback.store.feedback_store import FeedbackStore

pytestmark = pytest.mark.anyio
ROWS = 400


@pytest.fixture
async def store(tmp_path):
    database = await Database.open(f"sqlite:///{tmp_path / 'feedback.db'}")
    store = FeedbackStore(database)
    await fill(database, Answers(), 100, ROWS, lambda what, done, total: None)
    yield store
    await store.close()


async def test_answers_are_stored_as_the_service_stores_them(store):
    answers = Answers()
    new = answers.served(101)
    stored = await store.response(new.id)
    assert stored.model_dump(include=set(type(new).model_fields)) == new.model_dump()
    assert stored.scored == scores_of(new).scored
    await store.record([answers.served(1)], [scores_of(answers.served(1))])
    assert await store.next_pair((await store.sign_in("Ann")).name)


async def test_the_same_number_gives_the_same_answer_and_another_number_another():
    first, again = Answers(), Answers()
    assert first.served(7) == again.served(7)
    assert len({json.dumps(first.served(number).model_dump(mode="json")) for number in range(100)}) == 100


async def test_answers_are_spread_over_sixty_days_and_a_profile_is_no_longer_served(store):
    items = (await store.responses(limit=1000)).items
    assert len(items) == ROWS
    half = datetime.now(UTC) - timedelta(days=30)
    old = Counter(answer.profile for answer in items if answer.created < half)
    new = Counter(answer.profile for answer in items if answer.created >= half)
    assert sum(new.values()) == pytest.approx(ROWS / 2, abs=2)
    assert set(new) == set(PROFILES)
    assert set(old) == {*PROFILES, FORMER}


async def test_a_hundredth_is_annotated_those_that_are_handed_out_first(store):
    annotated = {annotation.response_id for annotation in (await store.annotations()).items}
    assert len(annotated) == ROWS // 100
    counts, figures = await store.counts(), await store.figures()
    assert (counts.annotated, counts.quick_feedback) == (ROWS // 100, ROWS // 100)
    assert figures.left == ROWS - ROWS // 100
    await store.sign_in("Ann")
    handed = await store.next_response_for("Ann", "sampled")
    assert handed.response.id not in annotated
