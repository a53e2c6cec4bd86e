"""Stores to test: every test that uses `store` or `url` runs on SQLite and on PostgreSQL."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from service.feedback.records import Annotation, Missing, Recorded, Span, StoredPassage
from service.feedback.store.feedback_store import open_store

TEXT = "The film plays in Pasadena. It cost 30 million. It was shot in 2008, as many others were."
PASSAGES = (
    StoredPassage(title="Film", text="It plays in Los Angeles. It cost 30 million.", sentences=("a", "b")),
    StoredPassage(title="Year", text="It was shot in 2008.", sentences=("c",)),
)


class Clock:
    """A clock that stands still unless it is moved."""

    def __init__(self):
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self):
        return self.now

    def move(self, **by):
        self.now += timedelta(**by)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request, tmp_path):
    """The URL of an empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/feedback.db"
    return request.getfixturevalue("postgres").database()


@pytest.fixture
async def open_(url, clock):
    """Opens the store once more, as another process would."""
    opened = []

    async def once_more(**settings):
        opened.append(await open_store(url, **{"clock": clock} | settings))
        return opened[-1]

    yield once_more
    for store in opened:
        await store.close()


@pytest.fixture
async def store(open_):
    """A store with an annotator, Ann, and nothing else."""
    store = await open_()
    await store.annotator("Ann")
    return store


@pytest.fixture
def answer():
    """Makes an answer to keep."""

    def make(name="r1", text=TEXT, **fields):
        given = {"question": "Where does the film play?", "passages": PASSAGES, "profile": "medium", "caller": "key:1"}
        return Recorded(id=name, text=text, **given | fields)

    return make


@pytest.fixture
def annotation():
    """Makes an annotation of that answer."""

    def make(submission="s1", **fields):
        given = {
            "response_id": "r1",
            "annotator": "Ann",
            "errors": (Span(label="Wrong-Grounding", start=18, end=26, explanation="Passage 1, sentence 1"),),
            "missing": (Missing(label="Missing-Answer", passage_id=1, sentence_id=(1,)),),
            "corrected": "The film plays in Los Angeles.",
        }
        return Annotation(submission_id=submission, **given | fields)

    return make


@pytest.fixture
def scored():
    """Makes scores: one sentence, an error of relevance with a probability."""

    def make(probability=0.75, end=27):
        segment = {"start": 0, "end": end, "error_probability": probability, "error": probability >= 0.5}
        return {"scores": {"relevance": {"segments": [segment]}}, "in_domain": True, "notes": []}

    return make


@pytest.fixture
def together():
    """Runs coroutines at once; gives their results."""
    return asyncio.gather
