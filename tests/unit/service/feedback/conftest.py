"""Stores to test. Every test that uses `store` or `url` runs on SQLite and on PostgreSQL."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from service.feedback.records import Annotation, MissingInformation, NewResponse, Span, StoredPassage
from service.feedback.store.feedback_store import open_store

QUESTION = "Where does the film play?"
TEXT = "The film plays in Pasadena. It cost 30 million. It was shot in 2008, as many others were."
PASSAGES = (
    StoredPassage(title="Film", text="It plays in Los Angeles. It cost 30 million.", sentences=("a", "b")),
    StoredPassage(title="Year", text="It was shot in 2008.", sentences=("c",)),
)


class Clock:
    """A clock that stands still until it is moved."""

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
    """Opens the same store again, as another process would."""
    opened = []

    async def open_again(**settings):
        opened.append(await open_store(url, **{"clock": clock} | settings))
        return opened[-1]

    yield open_again
    for store in opened:
        await store.close()


@pytest.fixture
async def store(open_):
    """A store with the annotator Ann and nothing else."""
    store = await open_()
    await store.sign_in("Ann")
    return store


@pytest.fixture
def answer():
    """Makes a response to store."""

    def make(name="r1", text=TEXT, **fields):
        defaults = {
            "question": QUESTION,
            "passages": PASSAGES,
            "profile": "medium",
            "caller": "key:1",
        }
        return NewResponse(id=name, text=text, **defaults | fields)

    return make


@pytest.fixture
def annotation():
    """Makes an annotation of that response."""

    def make(submission="s1", **fields):
        defaults = {
            "response_id": "r1",
            "annotator": "Ann",
            "errors": (Span(label="Wrong-Grounding", start=18, end=26, explanation="Passage 1, sentence 1"),),
            "missing": (MissingInformation(label="Missing-Answer", passage_id=1, sentence_id=(1,)),),
            "corrected": "The film plays in Los Angeles.",
        }
        return Annotation(submission_id=submission, **defaults | fields)

    return make


@pytest.fixture
def scored():
    """Makes scores of one sentence, with its probability of an error of relevance."""

    def make(probability=0.75, end=27):
        segment = {"start": 0, "end": end, "error_probability": probability, "error": probability >= 0.5}
        return {"scores": {"relevance": {"segments": [segment]}}, "in_domain": True, "notes": []}

    return make


@pytest.fixture
def together():
    """Runs coroutines concurrently and returns their results."""
    return asyncio.gather
