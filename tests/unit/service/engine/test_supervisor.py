import asyncio

import pytest

from service.engine import supervisor as supervision
from service.engine.supervisor import Supervisor

pytestmark = pytest.mark.anyio


class Engine:
    """Fails to start as often as it is told to."""

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
    """Runs a supervisor until it says that the engine is up, without waiting; gives the pauses it would have made."""

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
        return [pause for pause in pauses if pause != supervision.LOOK_SECONDS]

    return until_up


async def test_an_engine_that_died_is_started_and_given_its_adapters(run):
    engine, loaded = Engine(), []

    async def restarted():
        loaded.append(engine.alive)

    supervisor = Supervisor(engine, restarted)
    engine.alive = False
    assert await run(supervisor) == [0]
    assert (engine.starts, loaded, supervisor.up, supervisor.hopeless) == (1, [True], True, False)


async def test_pauses_grow_and_it_becomes_hopeless(run):
    engine, starts = Engine(failures=8), []

    async def restarted():
        pass

    supervisor = Supervisor(engine, restarted, lambda: starts.append(1))
    engine.alive = False
    assert await run(supervisor) == [0, 1, 2, 4, 8, 16, 32, 60, 60]
    assert len(starts) == engine.starts == 9
    assert supervisor.hopeless


async def test_an_engine_that_cannot_load_its_adapters_is_not_up(run):
    engine, tries = Engine(), []

    async def restarted():
        tries.append(1)
        if len(tries) < 3:
            raise RuntimeError("gone again")

    supervisor = Supervisor(engine, restarted)
    engine.alive = False
    await run(supervisor)
    assert len(tries) == engine.starts == 3


async def test_a_steady_engine_is_forgiven(monkeypatch):
    monkeypatch.setattr(supervision, "STEADY_SECONDS", -1)
    monkeypatch.setattr(supervision, "LOOK_SECONDS", 0)
    supervisor = Supervisor(Engine(), lambda: None)
    supervisor._failures = supervision.HOPELESS
    task = asyncio.create_task(supervisor.run())
    for _ in range(5):
        await asyncio.sleep(0)
    task.cancel()
    assert not supervisor.hopeless
