"""The benchmark of the feedback store, on few rows and without a clock."""

import json
import tempfile
from contextlib import suppress

import pytest

from rewards.errors import FgctlError
from service.bench.feedback_store import measure as benchmark
from service.bench.feedback_store.measure import measure
from service.bench.feedback_store.questions import ORDERS
from service.feedback.store.feedback_store import open_store

pytestmark = pytest.mark.anyio
ROWS = 300


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """As few calls as tell one thing from another."""
    for name, number in {"ANSWERS": 12, "ANNOTATIONS": 2, "ITEMS": 4, "BATCH": 2, "QUESTIONS": 1}.items():
        monkeypatch.setattr(benchmark, name, number)


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'bench.db'}"


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Where temporary files are made."""
    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    return directory


def ignore(what, done, total):
    """No progress is shown."""


def test_every_call_is_measured_on_the_empty_and_on_the_large_store(url):
    report = json.loads(json.dumps(measure(url, ROWS, ignore)))
    assert (report["database"], report["rows"]) == ("SQLite", ROWS)
    calls = {cost["what"]: cost["calls"] for cost in report["costs"]}
    assert calls["record an answer, then its scores"] == 12
    assert calls["an annotation"] == 2
    assert calls["figures"] == 1
    assert {f"{what}, {order}" for what in ("next answer", "progress") for order in ORDERS} <= calls.keys()
    assert [calls[name] for name in benchmark.IMPORTED] == [2, 4]
    seconds = {"cpu_seconds", "wall_seconds"}
    assert report["filling"].keys() == seconds
    for cost in report["costs"]:
        assert cost["empty"].keys() == cost["large"].keys() == seconds
        assert cost["ratio"]["cpu"] == pytest.approx(cost["large"]["cpu_seconds"] / cost["empty"]["cpu_seconds"])
        assert cost["ratio"]["wall"] == pytest.approx(cost["large"]["wall_seconds"] / cost["empty"]["wall_seconds"])
    batches, singles = report["costs"][-2:]
    assert report["import"]["items"] == 4
    for stage, ratio in report["import"]["ratios"].items():
        assert ratio["cpu"] == pytest.approx(singles[stage]["cpu_seconds"] / batches[stage]["cpu_seconds"])


async def test_what_was_measured_is_in_the_store(url):
    assert await benchmark._measure(url, ROWS, ignore)
    store = await open_store(url)
    counts = await store.counts()
    figures = await store.figures()
    await store.close()
    served = ROWS + 2 * (12 + 1)
    items = 2 * (6 + 5)
    assert counts.scored == served
    assert counts.responses == counts.annotatable > served + items
    assert counts.annotations == items + ROWS // 100 + 2 * (2 + 1)
    assert counts.quick_feedback == ROWS // 100 + 2 * (12 + 1)
    assert figures.left == counts.annotatable - counts.annotated


async def test_a_database_that_is_not_empty_is_refused_and_stays_as_it_is(tmp_path, url):
    store = await open_store(url)
    await store.sign_in("Ann")
    await store.close()
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(FgctlError, match="not empty; name a new file or an empty database"):
        await benchmark._measure(url, ROWS, ignore)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_without_a_url_nothing_is_left_behind(temporary):
    files = []

    def look(what, done, total):
        files.extend(temporary.rglob("feedback.db"))

    assert measure(None, ROWS, look)["rows"] == ROWS
    assert files
    assert not list(temporary.iterdir())


@pytest.mark.parametrize("phase", ["The empty store, importing", "Filling the store", "The large store, questions"])
def test_an_interruption_leaves_nothing_behind(temporary, phase):
    def interrupt(what, done, total):
        if what == phase:
            raise KeyboardInterrupt

    with suppress(KeyboardInterrupt):
        measure(None, ROWS, interrupt)
        pytest.fail("The benchmark went on.")
    assert not list(temporary.iterdir())
