import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.admission.places import Admission, PlaceState
from service.domain.caller import ANONYMOUS, Caller, Limits
from service.errors import Limited, Overloaded
from service.metrics.metrics import Metrics
from service.settings import Settings

pytestmark = pytest.mark.anyio


def admission(**chosen):
    """One with two places (the engine decodes one at once) and a queue of ten."""
    return Admission(Settings(**({"max_num_seqs": 1, "waiting_requests": 10} | chosen)), Metrics())


def reserve(admission, profile="a", caller=ANONYMOUS, tokens=10, completions=1):
    return admission.reserve(caller, profile, tokens, completions)


def gauge(admission, name):
    return admission._metrics.registry.get_sample_value(name)


def nothing_is_held(admission):
    return (
        admission._free == admission.places
        and admission._queue.requests == admission._queue.tokens == admission._held == 0
        and not admission._queue._waiting
    )


async def test_who_comes_first_runs_and_the_others_wait_until_a_place_is_free():
    door = admission()
    first, second, third = (reserve(door) for _ in range(3))
    assert [p.state for p in (first, second, third)] == [PlaceState.RUNNING, PlaceState.RUNNING, PlaceState.WAITING]
    assert (gauge(door, "fg_running_completions"), gauge(door, "fg_waiting_requests")) == (2, 1)
    assert gauge(door, "fg_waiting_tokens") == 10
    waiting = asyncio.create_task(door.wait_for_turn(third))
    await asyncio.sleep(0)
    assert not waiting.done()
    assert door.leave(first, 10, finished=True)
    await waiting
    assert third.state is PlaceState.RUNNING
    for place in (second, third):
        door.leave(place)
    assert nothing_is_held(door)


async def test_leaving_twice_frees_one_place():
    door = admission()
    place = reserve(door)
    assert door.leave(place)
    assert not door.leave(place)
    assert nothing_is_held(door)


async def test_the_queue_is_bounded_in_requests_and_says_when_to_come_back():
    door = admission()
    running = [reserve(door, tokens=100) for _ in range(2)]
    for _ in range(10):
        reserve(door, tokens=100)
    with pytest.raises(Overloaded, match="10 requests are waiting") as caught:
        reserve(door)
    assert (caught.value.status, caught.value.reason, caught.value.retry_after) == (503, "waiting_requests", 5)
    with pytest.raises(Overloaded):
        door.check(ANONYMOUS, "a")
    # Answered in 2 s each, so that two places work off the waiting 1,000 tokens in 10 s.
    for place in running:
        place.granted_at -= 2
    door.leave(running[0], 100, finished=True)
    reserve(door, tokens=100)
    with pytest.raises(Overloaded) as caught:
        reserve(door)
    assert caught.value.retry_after in (10, 11)
    assert gauge_refusals(door, "a", "waiting_requests") == 3


def gauge_refusals(door, profile, reason):
    labels = {"profile": profile, "reason": reason}
    return door._metrics.registry.get_sample_value("fg_refusals_total", labels)


async def test_the_queue_is_bounded_in_tokens_and_one_request_of_any_size_may_wait():
    door = admission(waiting_tokens=100)
    for _ in range(2):
        reserve(door)
    reserve(door, tokens=5000)
    with pytest.raises(Overloaded, match="5000 tokens are waiting"):
        reserve(door)


async def test_callers_over_their_limits_are_refused_and_others_not():
    door = admission(caller_concurrency=1)
    reserve(door, caller=Caller("x"))
    with pytest.raises(Limited):
        door.check(Caller("x"), "a")
    with pytest.raises(Limited):
        reserve(door, caller=Caller("x"))
    reserve(door, caller=Caller("y"))
    reserve(door, caller=Caller("x", limits=Limits(concurrency=2)))
    assert gauge_refusals(door, "a", "concurrency") == 2


async def test_one_that_waits_too_long_is_refused_and_leaves_when_it_is_told():
    door = admission(queue_timeout=0.01)
    running = [reserve(door) for _ in range(2)]
    late = reserve(door)
    with pytest.raises(Overloaded, match=r"waited 0.01 s") as caught:
        await door.wait_for_turn(late)
    assert caught.value.reason == "queue_timeout"
    for place in (late, *running):
        door.leave(place)
    assert nothing_is_held(door)


async def test_cancelled_in_the_moment_of_the_grant_nothing_leaks():
    door = admission()
    running = [reserve(door) for _ in range(2)]
    place = reserve(door)
    waiting = asyncio.create_task(door.wait_for_turn(place))
    await asyncio.sleep(0)
    door.leave(running[0])
    assert place.state is PlaceState.RUNNING, "granted, and its task has not run yet"
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    door.leave(place)
    door.leave(running[1])
    assert nothing_is_held(door)


async def test_cancelled_while_waiting_it_leaves_the_queue_and_is_never_granted():
    door = admission()
    running = [reserve(door) for _ in range(2)]
    place, after = reserve(door), reserve(door)
    waiting = asyncio.create_task(door.wait_for_turn(place))
    await asyncio.sleep(0)
    waiting.cancel()
    door.leave(place)
    door.leave(running[0])
    assert (place.state, after.state) == (PlaceState.LEFT, PlaceState.RUNNING)


async def test_granted_at_its_deadline_it_runs():
    door = admission(queue_timeout=0.01)
    running = [reserve(door) for _ in range(2)]
    place = reserve(door)
    waiting = asyncio.create_task(door.wait_for_turn(place))
    await asyncio.sleep(0)
    # What the loop does when both fall into one iteration: the deadline is noticed, then the place is granted.
    asyncio.get_running_loop().call_at(place.queue_deadline, door.leave, running[0])
    await waiting
    assert place.state is PlaceState.RUNNING


async def test_several_completions_wait_for_as_many_places_and_are_not_overtaken():
    door = admission(max_num_seqs=8)
    assert door.places == 9
    small = [reserve(door) for _ in range(5)]
    large, after = reserve(door, completions=8), reserve(door)
    assert (large.state, after.state) == (PlaceState.WAITING, PlaceState.WAITING)
    for place in small[:4]:
        door.leave(place)
    assert (large.state, after.state) == (PlaceState.RUNNING, PlaceState.WAITING)
    everything = admission()
    assert reserve(everything, completions=100).state is PlaceState.RUNNING


async def test_stopping_admits_nobody_and_lets_the_waiting_finish():
    door = admission()
    places = [reserve(door) for _ in range(3)]
    door.stop()
    with pytest.raises(Overloaded) as caught:
        reserve(door)
    assert caught.value.reason == "stopping"
    emptied = asyncio.create_task(door.emptied())
    for place in places:
        await asyncio.sleep(0)
        assert not emptied.done()
        await door.wait_for_turn(place)
        door.leave(place)
    await asyncio.wait_for(emptied, 1)


steps = st.lists(
    st.tuples(st.sampled_from(["reserve", "leave", "finish"]), st.integers(0, 9), st.integers(1, 3)), max_size=80
)


@given(steps)
@settings(deadline=None)
def test_whatever_happens_places_are_never_lost_or_handed_out_twice(taken):
    async def play():
        door, held = admission(max_num_seqs=4, waiting_requests=6), []
        for what, number, completions in taken:
            if what == "reserve":
                try:
                    held.append(reserve(door, "ab"[number % 2], Caller(str(number % 3)), number, completions))
                except Overloaded:
                    assert door._queue.requests == 6
            elif held:
                place = held.pop(number % len(held))
                door.leave(place, number, finished=what == "finish" and place.state is PlaceState.RUNNING)
            running = [place for place in held if place.state is PlaceState.RUNNING]
            assert door._free == door.places - sum(place.completions for place in running) >= 0
            assert door._queue.requests == len(held) - len(running)
        for place in held:
            door.leave(place)
        assert nothing_is_held(door)

    asyncio.run(play())
