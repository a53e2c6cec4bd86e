"""The engine of fixed speed keeps its pace."""

import asyncio
from types import SimpleNamespace

import pytest

from service.bench.fixed_speed_engine import FIRST, PACE, FixedSpeedEngine
from service.engine.plan import AdapterShapes
from service.settings import Settings
from tests.unit.service import jumping_clock

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return jumping_clock.BACKEND


@pytest.fixture
def engine():
    started = FixedSpeedEngine(None, AdapterShapes(8, frozenset({"q_proj"}), 4), Settings())
    started.start()
    return started


async def test_it_keeps_its_pace_even_when_a_token_is_read_late(engine, policies):
    loop = asyncio.get_running_loop()
    began, times = loop.time(), []
    async for piece in engine.generate([1], SimpleNamespace(max_tokens=4), policies[0], "r"):
        times.append(loop.time() - began)
        if len(times) == 1:
            await asyncio.sleep(1.5 * PACE)
        last = piece
    assert times == pytest.approx([FIRST, FIRST + 1.5 * PACE, FIRST + 2 * PACE, FIRST + 3 * PACE])
    assert last.finish_reason == "length"


async def test_its_probe_distinguishes_policies(engine, policies):
    probes = [await engine.probe(policy) for policy in (None, *policies)]
    assert len({tuple(logprobs) for logprobs in probes}) == 4
