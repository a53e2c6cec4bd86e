import asyncio
from contextlib import aclosing

import pytest

from service.answering.deadline import until
from tests.unit.service import jumping_clock

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return jumping_clock.BACKEND


class Items:
    """Numbers, with a pause before each, and whether they have been closed."""

    def __init__(self, pause=0.0):
        self.pause = pause
        self.closed = False
        self.abandoned = 0

    async def make(self):
        try:
            for number in range(5):
                await asyncio.sleep(self.pause)
                yield number
        finally:
            self.closed = True

    def until(self, seconds):
        return until(asyncio.get_running_loop().time() + seconds, self.make(), self.abandon)

    def abandon(self):
        self.abandoned += 1


async def test_what_is_in_time_passes_unchanged():
    items = Items()
    assert [item async for item in items.until(10)] == [0, 1, 2, 3, 4]
    assert (items.closed, items.abandoned) == (True, 0)


async def test_a_generator_that_is_too_slow_is_closed():
    items, got = Items(pause=0.04), []

    async def read():
        async for item in items.until(0.06):
            got.append(item)

    with pytest.raises(TimeoutError):
        await read()
    assert (got, items.closed, items.abandoned) == ([0], True, 0)


async def test_a_reader_that_is_too_slow_does_not_keep_the_generator_open():
    items = Items()

    async def read():
        async for _ in items.until(0.01):
            await asyncio.sleep(0.03)
            assert items.closed

    with pytest.raises(TimeoutError):
        await read()
    assert items.abandoned == 1


async def test_a_reader_that_leaves_closes_the_generator_and_no_timer_stays():
    items = Items()
    async with aclosing(items.until(0.02)) as timely:
        async for _ in timely:
            break
    assert items.closed
    await asyncio.sleep(0.03)
    assert items.abandoned == 0


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
async def test_a_reader_that_is_cancelled_at_its_very_deadline_is_cancelled_and_not_too_late(before):
    items, loop = Items(pause=1), asyncio.get_running_loop()
    deadline = loop.time() + 0.05
    reading = asyncio.create_task(_first(until(deadline, items.make(), items.abandon)))
    if before:
        loop.call_at(deadline, reading.cancel)
    await asyncio.sleep(0)
    if not before:
        loop.call_at(deadline, reading.cancel)
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert items.closed


async def _first(items):
    return await anext(items)


async def test_cancelling_the_reader_closes_the_generator():
    items = Items(pause=1)

    async def read():
        async for _ in items.until(10):
            pass

    reading = asyncio.create_task(read())
    await asyncio.sleep(0.01)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert items.closed
