"""Restarts of an engine that died or hangs."""

import asyncio
import time

import pytest

from service.engine import supervisor as supervision
from service.engine.supervisor import Supervisor

pytestmark = pytest.mark.anyio


class Engine:
    """Fails to start a number of times, and answers unless it hangs."""

    def __init__(self, failures=0):
        self.alive = True
        self.failures = failures
        self.starts = 0
        self.kills = 0
        self.hangs = asyncio.Event()

    async def answer(self):
        if self.hangs.is_set():
            await asyncio.Event().wait()
        if not self.alive:
            raise RuntimeError("gone")

    def kill(self):
        self.kills += 1
        self.alive = False

    def restart(self):
        self.starts += 1
        if self.failures:
            self.failures -= 1
            raise RuntimeError("no memory")
        self.alive = True
        self.hangs.clear()


@pytest.fixture
def run(monkeypatch):
    """Runs a supervisor until the engine is up again; gives the pauses that it would have made."""

    async def until_up(supervisor):
        pauses = []

        async def sleep(seconds):
            pauses.append(seconds)
            await real(0)

        real = asyncio.sleep
        monkeypatch.setattr(supervision.asyncio, "sleep", sleep)
        task = asyncio.create_task(supervisor.run())
        for _ in range(2000):
            await real(0.001)
            if supervisor.up and supervisor._failures:
                break
        task.cancel()
        return [pause for pause in pauses if pause not in (supervision.CHECK_SECONDS, supervision.ANSWER_SECONDS)]

    return until_up


async def test_an_engine_that_died_is_restarted_and_loads_its_adapters(run):
    engine, loaded = Engine(), []

    async def restarted():
        loaded.append(engine.alive)

    supervisor = Supervisor(engine, restarted)
    engine.alive = False
    assert await run(supervisor) == [0]
    assert (engine.starts, loaded, supervisor.up, supervisor.hopeless) == (1, [True], True, False)


async def test_pauses_grow_until_the_supervisor_is_hopeless(run):
    engine, starts = Engine(failures=8), []

    async def restarted():
        pass

    supervisor = Supervisor(engine, restarted, lambda: starts.append(1))
    engine.alive = False
    assert await run(supervisor) == [0, 1, 2, 4, 8, 16, 32, 60, 60]
    assert len(starts) == engine.starts == 9
    assert supervisor.hopeless


async def test_an_engine_that_cannot_load_its_adapters_is_not_up(run):
    engine, attempts = Engine(), []

    async def restarted():
        attempts.append(1)
        if len(attempts) < 3:
            raise RuntimeError("gone again")

    supervisor = Supervisor(engine, restarted)
    engine.alive = False
    await run(supervisor)
    assert len(attempts) == engine.starts == 3


async def test_an_engine_that_runs_steadily_counts_as_recovered(monkeypatch):
    monkeypatch.setattr(supervision, "STEADY_SECONDS", -1)
    monkeypatch.setattr(supervision, "CHECK_SECONDS", 0)
    supervisor = Supervisor(Engine(), lambda: None)
    supervisor._failures = supervision.HOPELESS
    task = asyncio.create_task(supervisor.run())
    for _ in range(5):
        await asyncio.sleep(0)
    task.cancel()
    assert not supervisor.hopeless


@pytest.fixture
def quick(monkeypatch):
    """Questions at once, and checks every few milliseconds."""
    monkeypatch.setattr(supervision, "ANSWER_SECONDS", 0.001)
    monkeypatch.setattr(supervision, "CHECK_SECONDS", 0.005)


async def test_an_engine_that_hangs_is_killed_and_replaced(quick):
    engine, up = Engine(), []

    async def restarted():
        up.append(supervisor.up)

    supervisor = Supervisor(engine, restarted, patience=0.02)
    running = asyncio.create_task(supervisor.run())
    await asyncio.sleep(0.05)
    assert (engine.kills, engine.starts) == (0, 0)
    engine.hangs.set()
    async with asyncio.timeout(30):
        while not engine.starts or not supervisor.up:
            await asyncio.sleep(0.001)
    running.cancel()
    assert (engine.kills, engine.starts, up) == (1, 1, [False])


async def test_an_engine_that_dies_while_it_is_asked_is_not_killed(quick):
    engine = Engine()

    async def restarted():
        pass

    supervisor = Supervisor(engine, restarted, patience=600)
    engine.hangs.set()
    running = asyncio.create_task(supervisor.run())
    await asyncio.sleep(0.02)
    engine.alive = False
    async with asyncio.timeout(30):
        while not engine.starts:
            await asyncio.sleep(0.001)
    running.cancel()
    assert engine.kills == 0


async def test_time_in_which_the_service_itself_was_stopped_does_not_count(quick):
    engine = Engine()
    supervisor = Supervisor(engine, lambda: None, patience=1)
    engine.hangs.set()
    running = asyncio.create_task(supervisor.run())
    await asyncio.sleep(0.02)
    time.sleep(1.5)  # nothing of this process runs meanwhile
    await asyncio.sleep(0.02)
    running.cancel()
    assert engine.kills == 0
