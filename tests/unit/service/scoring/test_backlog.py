"""The responses that wait to be scored, and which of them go when there are too many."""

import asyncio
from collections import Counter
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.hash_sampling import draw
from service.scoring.backlog import Backlog

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


def finished(number, profile="medium"):
    return SimpleNamespace(id=f"resp_{number}", profile=profile)


async def test_first_come_first_served():
    backlog = Backlog(10)
    for number in range(5):
        assert backlog.put(finished(number), 0.5) is None
    assert [completion.id for completion in await backlog.take(3)] == ["resp_0", "resp_1", "resp_2"]
    assert len(backlog) == 2


@given(st.lists(st.floats(0, 1, exclude_max=True), max_size=40, unique=True), st.integers(1, 8))
def test_when_it_is_full_the_highest_draws_go(draws, limit):
    backlog = Backlog(limit)
    shed = [backlog.put(finished(number), place) for number, place in enumerate(draws)]
    kept = {waiting.draw for waiting in backlog._waiting.values()}
    assert kept == set(sorted(draws)[:limit])
    assert len([completion for completion in shed if completion is not None]) == max(0, len(draws) - limit)


@pytest.mark.parametrize(
    "order",
    [
        lambda n: ("short", "medium", "long")[n % 3],
        lambda n: ("short", "medium", "long")[n // 40 % 3],
        lambda n: "short" if n % 10 else "long",
    ],
    ids=["in turns", "in bursts", "one profile has most"],
)
async def test_under_twice_the_load_every_profile_loses_the_same_share(order):
    """Sixteen come while eight are scored, so half of them must go."""
    backlog, offered, shed = Backlog(64), Counter(), Counter()
    for number in range(12_000):
        completion = finished(number, order(number))
        offered[completion.profile] += 1
        if gone := backlog.put(completion, draw(completion.id)):
            shed[gone.profile] += 1
        if number % 16 == 15:
            backlog.done(len(await backlog.take(8)))
    for profile, total in offered.items():
        assert shed[profile] / total == pytest.approx(0.5, abs=0.06)


async def test_who_waits_for_work_gets_it_when_it_comes():
    backlog = Backlog(4)
    taking = asyncio.create_task(backlog.take(4))
    await asyncio.sleep(0)
    assert not taking.done()
    backlog.put(finished(1), 0.5)
    assert [completion.id for completion in await taking] == ["resp_1"]


async def test_it_is_drained_when_what_was_taken_is_done():
    backlog = Backlog(4)
    await asyncio.wait_for(backlog.drained(), 1)
    for number in range(3):
        backlog.put(finished(number), 0.5)
    first, second = await backlog.take(1), await backlog.take(5)
    draining = asyncio.create_task(backlog.drained())
    backlog.done(len(second))
    await asyncio.sleep(0)
    assert not draining.done()
    backlog.done(len(first))
    await asyncio.wait_for(draining, 1)
