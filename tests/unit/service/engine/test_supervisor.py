"""Restarts of an engine that died."""

import asyncio

import pytest

from service.engine import supervisor as supervision
from service.engine.supervisor import Supervisor

pytestmark = pytest.mark.anyio


class Engine:
    """Fails to start a number of times."""

    def __init__(self, failures=0):
        self.alive = True
        self.failures = failures
        self.starts = 0

    def restart(self):
        self.starts += 1
        if self.failures:
            self.failures -= 1
            raise RuntimeError("no memory")
        self.alive = True


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
        return [pause for pause in pauses if pause != supervision.CHECK_SECONDS]

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
