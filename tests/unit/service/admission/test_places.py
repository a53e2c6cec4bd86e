"""Admission control: places, the queue's bounds, refusals, cancellation and stopping."""

import asyncio

import hypothesis
import pytest
from hypothesis import strategies as st

from service.admission.places import Admission, PlaceState, Size
from service.domain.caller import ANONYMOUS, Caller, Limits
from service.errors import BadRequest, Overloaded, RateLimited
from service.metrics.metrics import Metrics
from service.settings import Settings

pytestmark = pytest.mark.anyio


def make_admission(**settings):
    """Admission with two places (the engine decodes one sequence at once) and a queue of ten."""
    return Admission(Settings(**({"max_num_seqs": 1, "waiting_requests": 10} | settings)), Metrics())


def reserve(admission, profile="a", caller=ANONYMOUS, tokens=10, completions=1):
    return admission.reserve(caller, profile, tokens, completions)


def gauge(admission, name):
    return admission._metrics.registry.get_sample_value(name)


def refusals(admission, profile, reason):
    labels = {"profile": profile, "reason": reason}
    return admission._metrics.registry.get_sample_value("fg_refusals_total", labels)


def nothing_leaked(admission):
    return (
        admission._free == admission.places
        and admission._queue.requests == admission._queue.tokens == admission._in_service == 0
        and not admission._queue._waiting
    )


async def test_the_first_requests_run_and_the_others_wait_for_a_free_place():
    admission = make_admission()
    first, second, third = (reserve(admission) for _ in range(3))
    assert [p.state for p in (first, second, third)] == [PlaceState.RUNNING, PlaceState.RUNNING, PlaceState.WAITING]
    assert (gauge(admission, "fg_running_completions"), gauge(admission, "fg_waiting_requests")) == (2, 1)
    assert gauge(admission, "fg_waiting_tokens") == 10
    waiting = asyncio.create_task(admission.wait_for_turn(third))
    await asyncio.sleep(0)
    assert not waiting.done()
    assert admission.leave(first, 10, finished=True)
    await waiting
    assert third.state is PlaceState.RUNNING
    for place in (second, third):
        admission.leave(place)
    assert nothing_leaked(admission)


async def test_leaving_twice_frees_one_place():
    admission = make_admission()
    place = reserve(admission)
    assert admission.leave(place)
    assert not admission.leave(place)
    assert nothing_leaked(admission)


async def test_the_queue_is_bounded_in_requests_and_tells_when_to_try_again():
    admission = make_admission()
    running = [reserve(admission, tokens=100) for _ in range(2)]
    for _ in range(10):
        reserve(admission, tokens=100)
    with pytest.raises(Overloaded, match="10 requests are waiting") as caught:
        reserve(admission)
    assert (caught.value.status, caught.value.reason, caught.value.retry_after) == (503, "waiting_requests", 5)
    with pytest.raises(Overloaded):
        admission.check(ANONYMOUS, "a")
    # Requests of 100 tokens take 2 s each, so two places answer the waiting 1,000 tokens in 10 s.
    for place in running:
        place.granted_at -= 2
    admission.leave(running[0], 100, finished=True)
    reserve(admission, tokens=100)
    with pytest.raises(Overloaded) as caught:
        reserve(admission)
    assert caught.value.retry_after in (10, 11)
    assert refusals(admission, "a", "waiting_requests") == 3


async def test_the_queue_is_bounded_in_tokens_and_one_request_of_any_size_may_wait():
    admission = make_admission(waiting_tokens=100)
    for _ in range(2):
        reserve(admission)
    reserve(admission, tokens=5000)
    with pytest.raises(Overloaded, match="hold 5000 of 100 tokens"):
        reserve(admission)


async def test_only_callers_over_their_limits_are_refused():
    admission = make_admission(caller_concurrency=1)
    reserve(admission, caller=Caller("x"))
    with pytest.raises(RateLimited):
        admission.check(Caller("x"), "a")
    with pytest.raises(RateLimited):
        reserve(admission, caller=Caller("x"))
    reserve(admission, caller=Caller("y"))
    reserve(admission, caller=Caller("x", limits=Limits(concurrency=2)))
    assert refusals(admission, "a", "concurrency") == 2


async def test_a_request_that_waits_too_long_is_refused():
    admission = make_admission(queue_timeout=0.01)
    running = [reserve(admission) for _ in range(2)]
    late = reserve(admission)
    with pytest.raises(Overloaded, match=r"waited 0.01 s") as caught:
        await admission.wait_for_turn(late)
    assert caught.value.reason == "queue_timeout"
    for place in (late, *running):
        admission.leave(place)
    assert nothing_leaked(admission)


async def test_cancelling_at_the_moment_of_the_grant_leaks_nothing():
    admission = make_admission()
    running = [reserve(admission) for _ in range(2)]
    place = reserve(admission)
    waiting = asyncio.create_task(admission.wait_for_turn(place))
    await asyncio.sleep(0)
    admission.leave(running[0])
    assert place.state is PlaceState.RUNNING, "granted, and its task has not run yet"
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    admission.leave(place)
    admission.leave(running[1])
    assert nothing_leaked(admission)


async def test_a_request_cancelled_while_it_waits_is_never_granted():
    admission = make_admission()
    running = [reserve(admission) for _ in range(2)]
    place, after = reserve(admission), reserve(admission)
    waiting = asyncio.create_task(admission.wait_for_turn(place))
    await asyncio.sleep(0)
    waiting.cancel()
    admission.leave(place)
    admission.leave(running[0])
    assert (place.state, after.state) == (PlaceState.LEFT, PlaceState.RUNNING)


async def test_a_request_granted_at_its_deadline_runs():
    admission = make_admission(queue_timeout=0.01)
    running = [reserve(admission) for _ in range(2)]
    place = reserve(admission)
    waiting = asyncio.create_task(admission.wait_for_turn(place))
    await asyncio.sleep(0)
    # Both happen in one iteration of the event loop: the deadline first, then the grant.
    asyncio.get_running_loop().call_at(place.queue_deadline, admission.leave, running[0])
    await waiting
    assert place.state is PlaceState.RUNNING


async def test_a_request_of_several_completions_waits_for_as_many_places_and_is_not_overtaken():
    admission = make_admission(max_num_seqs=8)
    assert admission.places == 9
    small = [reserve(admission) for _ in range(5)]
    large, after = reserve(admission, completions=8), reserve(admission)
    assert (large.state, after.state) == (PlaceState.WAITING, PlaceState.WAITING)
    for place in small[:4]:
        admission.leave(place)
    assert (large.state, after.state) == (PlaceState.RUNNING, PlaceState.WAITING)
    assert reserve(make_admission(), completions=100).state is PlaceState.RUNNING


async def test_places_follow_what_all_ranks_of_the_engine_decode():
    admission = make_admission(max_num_seqs=2)
    running = [reserve(admission) for _ in range(5)]
    assert [place.state for place in running].count(PlaceState.RUNNING) == admission.places == 3
    admission.resize(64)
    assert admission.places == 72
    later = reserve(admission)
    assert {place.state for place in (*running, later)} == {PlaceState.RUNNING}
    for place in (*running, later):
        admission.leave(place)
    assert nothing_leaked(admission)
    assert (make_admission(max_num_seqs=None).places, gauge(admission, "fg_running_completions")) == (36, 0)


async def test_stopping_refuses_new_requests_and_lets_waiting_ones_finish():
    admission = make_admission()
    places = [reserve(admission) for _ in range(3)]
    admission.stop()
    with pytest.raises(Overloaded) as caught:
        reserve(admission)
    assert caught.value.reason == "stopping"
    emptied = asyncio.create_task(admission.emptied())
    for place in places:
        await asyncio.sleep(0)
        assert not emptied.done()
        await admission.wait_for_turn(place)
        admission.leave(place)
    await asyncio.wait_for(emptied, 1)


steps = st.lists(
    st.tuples(st.sampled_from(["reserve", "leave", "finish"]), st.integers(0, 9), st.integers(1, 3)), max_size=80
)


@hypothesis.given(steps)
@hypothesis.settings(deadline=None)
def test_places_are_never_lost_or_granted_twice_whatever_happens(sequence):
    async def play():
        admission, places = make_admission(max_num_seqs=4, waiting_requests=6), []
        for step, number, completions in sequence:
            if step == "reserve":
                try:
                    places.append(reserve(admission, "ab"[number % 2], Caller(str(number % 3)), number, completions))
                except Overloaded:
                    assert admission._queue.requests == 6
            elif places:
                place = places.pop(number % len(places))
                admission.leave(place, number, finished=step == "finish" and place.state is PlaceState.RUNNING)
            running = [place for place in places if place.state is PlaceState.RUNNING]
            assert admission._free == admission.places - sum(place.completions for place in running) >= 0
            assert admission._queue.requests == len(places) - len(running)
        for place in places:
            admission.leave(place)
        assert nothing_leaked(admission)

    asyncio.run(play())


async def test_a_request_of_several_prompts_counts_once_and_ends_with_its_last_prompt():
    admission = make_admission()
    caller = Caller("k", limits=Limits(concurrency=1, requests_per_minute=2, tokens_per_minute=100))
    places = admission.reserve_all(caller, "a", [Size(10, 1)] * 3)
    assert [place.state for place in places] == [PlaceState.RUNNING, PlaceState.RUNNING, PlaceState.WAITING]
    for place in places:
        with pytest.raises(RateLimited) as caught:
            admission.reserve(caller, "a", 10, 1)
        assert caught.value.reason == "concurrency"
        admission.leave(place, 10, finished=True)
    assert nothing_leaked(admission)
    admission.leave(admission.reserve(caller, "a", 10, 1), 10)
    with pytest.raises(RateLimited) as caught:
        admission.reserve(caller, "a", 10, 1)
    assert caught.value.reason == "requests_per_minute"


async def test_prompts_are_admitted_all_or_none_and_what_is_refused_costs_nothing():
    admission = make_admission(waiting_requests=2)
    caller = Caller("k", limits=Limits(requests_per_minute=1, tokens_per_minute=40))
    others = [reserve(admission) for _ in range(3)]
    for refusal, sizes in ((Overloaded, [Size(10, 1)] * 2), (RateLimited, [Size(30, 1), Size(20, 1)])):
        if refusal is RateLimited:
            admission.leave(others.pop())
            admission._limits.take(caller, 1)  # the allowance is no longer whole, so that 50 tokens are too many
            admission._limits.give_back("k", 0, refused=True)
        with pytest.raises(refusal):
            admission.reserve_all(caller, "a", sizes)
        assert admission._in_service == len(others)
    (place,) = admission.reserve_all(caller, "a", [Size(39, 1)])
    for left in (*others, place):
        admission.leave(left)
    assert nothing_leaked(admission)


async def test_waiting_in_vain_costs_nothing():
    admission = make_admission(queue_timeout=0.01)
    running = [reserve(admission) for _ in range(2)]
    caller = Caller("k", limits=Limits(requests_per_minute=1))
    place = admission.reserve(caller, "a", 10, 1)
    with pytest.raises(Overloaded):
        await admission.wait_for_turn(place)
    admission.leave(place)
    for left in running:
        admission.leave(left)
    admission.reserve(caller, "a", 10, 1)


@pytest.mark.parametrize("settings", [{"waiting_requests": 2}, {"waiting_tokens": 29}])
async def test_more_prompts_than_ever_fit_are_told_so_even_if_others_are_in_the_way(settings):
    admission = make_admission(**settings)
    fitting, too_many = [Size(10, 1)] * 4, [Size(10, 1)] * 5
    with pytest.raises(BadRequest, match="5 prompts, more than can ever run and wait; send fewer at once"):
        admission.reserve_all(ANONYMOUS, "a", too_many)
    places = admission.reserve_all(ANONYMOUS, "a", fitting)
    with pytest.raises(BadRequest):
        admission.reserve_all(ANONYMOUS, "a", too_many)
    with pytest.raises(Overloaded):
        admission.reserve_all(ANONYMOUS, "a", fitting)
    for place in places:
        admission.leave(place)
    assert nothing_leaked(admission)
