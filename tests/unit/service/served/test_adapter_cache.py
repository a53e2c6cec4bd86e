import asyncio
from types import SimpleNamespace

import pytest

from service.errors import RateLimited, Unavailable
from service.served.adapter_cache import AdapterCache, InUse

pytestmark = pytest.mark.anyio


class Engine:
    def __init__(self):
        self.held = []

    async def load(self, policy):
        await asyncio.sleep(0)
        if policy.name == "broken":
            raise Exception("shapes do not match")
        self.held.append(policy.name)

    async def unload(self, policy):
        self.held.remove(policy.name)


@pytest.fixture
def engine():
    return Engine()


@pytest.fixture
def in_use():
    return InUse(lambda policy: None)


@pytest.fixture
def cache(engine, in_use):
    return AdapterCache(engine.load, engine.unload, in_use, 2)


def maker(name, made=None):
    async def make():
        if made is not None:
            made.append(name)
        await asyncio.sleep(0)
        return SimpleNamespace(name=name, adapter_id=hash(name))

    return make


async def test_the_least_recently_asked_for_makes_room(cache, engine):
    for name in ("a", "b"):
        await cache.get_or_load(name, maker(name))
    assert cache.get("a").name == "a"
    await cache.get_or_load("c", maker("c"))
    assert engine.held == ["a", "c"]
    assert cache.get("b") is None
    assert len(cache) == 2


async def test_concurrent_requests_for_one_key_share_one_load(cache, engine):
    made = []
    policies = await asyncio.gather(*(cache.get_or_load("a", maker("a", made)) for _ in range(20)))
    assert made == ["a"]
    assert engine.held == ["a"]
    assert len({id(policy) for policy in policies}) == 1


async def test_an_adapter_in_use_stays_and_too_many_are_refused(cache, engine, in_use):
    first, second = [await cache.get_or_load(name, maker(name)) for name in "ab"]
    with in_use.hold(first):
        await cache.get_or_load("c", maker("c"))
        assert engine.held == ["a", "c"]
        with in_use.hold(cache.get("c")), pytest.raises(Unavailable, match="All 2 adapters"):
            await cache.get_or_load("d", maker("d"))
    assert second.name == "b"
    await cache.get_or_load("d", maker("d"))
    assert len(engine.held) == 2


async def test_a_failure_reaches_all_who_wait_and_is_tried_again(cache, engine):
    waiting = [cache.get_or_load("x", maker("broken")) for _ in range(3)]
    failures = await asyncio.gather(*waiting, return_exceptions=True)
    assert [str(failure) for failure in failures] == ["shapes do not match"] * 3
    assert (await cache.get_or_load("x", maker("x"))).name == "x"
    assert engine.held == ["x"]


async def test_who_leaves_takes_nothing_from_the_others(cache, engine):
    first = asyncio.create_task(cache.get_or_load("a", maker("a")))
    second = asyncio.create_task(cache.get_or_load("a", maker("a")))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).name == "a"
    assert engine.held == ["a"]


async def test_after_a_new_engine_everything_is_loaded_again(cache, engine):
    await cache.get_or_load("a", maker("a"))
    cache.forget()
    engine.held.clear()
    await cache.get_or_load("a", maker("a"))
    assert engine.held == ["a"]


async def test_the_last_request_of_a_policy_is_told():
    idle = []
    in_use = InUse(idle.append)
    policy = SimpleNamespace(adapter_id=1)
    with in_use.hold(policy):
        with in_use.hold(policy):
            pass
        assert policy in in_use
        assert idle == []
    assert idle == [policy]
    assert policy not in in_use


async def test_however_many_are_asked_for_at_once_the_engine_holds_no_more_than_the_limit(cache, engine):
    most = 0

    class Watched(list):
        def append(self, name):
            nonlocal most
            super().append(name)
            most = max(most, len(self))

    engine.held = Watched()
    await asyncio.gather(*(cache.get_or_load(str(i), maker(str(i))) for i in range(30)))
    assert most == len(cache) == 2


async def test_what_was_just_loaded_stays_for_those_who_waited_for_it(cache, engine, in_use):
    """Thirty keys at once, and each of the requests uses its adapter as soon as it has it."""

    async def ask(name):
        policy = await cache.get_or_load(name, maker(name))
        assert name in engine.held
        with in_use.hold(policy):
            await asyncio.sleep(0)
            assert name in engine.held

    outcomes = await asyncio.gather(*(ask(str(i % 10)) for i in range(30)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} <= {type(None), Unavailable}
    assert outcomes.count(None) >= 6


async def test_room_is_made_for_an_adapter_that_is_not_kept_here(cache, engine, in_use):
    policies = [await cache.get_or_load(name, maker(name)) for name in "ab"]
    with in_use.hold(policies[0]):
        await cache.make_room()
        assert engine.held == ["a"]
        with pytest.raises(Unavailable, match="All 1 adapters"):
            await cache.make_room()


async def test_a_caller_over_its_limits_costs_the_others_nothing(cache, engine):
    def refuse():
        raise RateLimited("too many", "concurrency", 1)

    made = []
    asking = [asyncio.create_task(cache.get_or_load("a", maker("a", made), allow)) for allow in (refuse, bool, bool)]
    outcomes = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(outcomes[0], RateLimited)
    assert [policy.name for policy in outcomes[1:]] == ["a", "a"]
    assert made == engine.held == ["a"]


async def test_a_refused_request_pushes_nothing_out(cache, engine):
    def refuse():
        raise RateLimited("too many", "concurrency", 1)

    for name in "ab":
        await cache.get_or_load(name, maker(name))
    with pytest.raises(RateLimited):
        await cache.get_or_load("c", maker("c"), refuse)
    assert engine.held == ["a", "b"]
