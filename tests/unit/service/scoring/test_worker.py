"""Going over from one set of scoring processes to another, without loading anything."""

import asyncio
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool

import pytest

from rewards.errors import FgctlError
from rewards.scores import ScoreRequest
from service.scoring.worker import ScoringWorker

pytestmark = pytest.mark.anyio
REQUESTS = [ScoreRequest("Where?", (), "Here.")]


class Pool:
    """Processes whose calls end when the test says so."""

    _processes = None

    def __init__(self):
        self.calls = []
        self.ended = False

    def submit(self, *_):
        self.calls.append(Future())
        return self.calls[-1]

    def shutdown(self, wait):
        self.ended = True


class Worker(ScoringWorker):
    loads = "new"

    def _new_pool(self):
        self.pools = [*getattr(self, "pools", []), Pool()]
        return self.pools[-1]

    async def _load(self, pool):
        return [self.loads]


@pytest.fixture
async def worker():
    return Worker(None, None, 60)


async def test_running_calls_end_by_the_old_models_and_later_ones_wait_for_the_new(worker):
    events = []
    (old,) = worker.pools

    async def score():
        scored = await worker.score(REQUESTS)
        events.append("scored by the old")
        return scored

    before = asyncio.create_task(score())
    await asyncio.sleep(0)
    taking_over = asyncio.create_task(worker.take_over("new", lambda: events.append("announced")))
    await asyncio.sleep(0.01)
    after = asyncio.create_task(worker.score(REQUESTS))
    await asyncio.sleep(0.01)
    new = worker.pools[1]
    assert (len(old.calls), len(new.calls), events) == (1, 0, [])
    old.calls[0].set_result((["old"], 0.1))
    await taking_over
    await asyncio.sleep(0.01)
    assert events == ["scored by the old", "announced"]
    assert (old.ended, new.ended) == (True, False)
    new.calls[0].set_result((["new"], 0.1))
    assert (await before, await after) == (["old"], ["new"])


async def test_models_that_changed_while_they_were_read_are_not_taken_over(worker):
    with pytest.raises(FgctlError, match="write their file in one step"):
        await worker.take_over("newer", pytest.fail)
    old, new = worker.pools
    assert (old.ended, new.ended) == (False, True)
    scoring = asyncio.create_task(worker.score(REQUESTS))
    await asyncio.sleep(0)
    old.calls[0].set_result(([], 0.1))
    await scoring


async def test_a_process_that_dies_while_it_loads_the_models_is_told_in_a_sentence(worker):
    dead = Pool()
    loading = asyncio.create_task(ScoringWorker._load(worker, dead))
    await asyncio.sleep(0)
    dead.calls[0].set_exception(BrokenProcessPool())
    with pytest.raises(FgctlError, match="ended while it loaded the reward models"):
        await loading
    assert dead.ended
