from collections import Counter
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from service.admission.fair_queue import _MOST_COUNTERS, Counters, FairQueue


@dataclass(eq=False)
class Request:
    profile: str
    caller_id: str
    tokens: int
    contended: tuple[bool, bool] = (False, False)


def grant(queue):
    request = queue.first()
    queue.grant(request)
    return request


requests = st.lists(
    st.builds(Request, st.sampled_from("abc"), st.sampled_from("xyz"), st.integers(1, 500)), max_size=40
)


@given(requests)
def test_everybody_is_served_once_and_nothing_is_left(made):
    queue = FairQueue()
    for request in made:
        queue.add(request)
    assert (queue.requests, queue.tokens) == (len(made), sum(r.tokens for r in made))
    granted = [grant(queue) for _ in made]
    assert set(granted) == set(made)
    assert (queue.first(), queue.requests, queue.tokens) == (None, 0, 0)
    for profile in "abc":
        for caller in "xyz":
            own = [r for r in made if (r.profile, r.caller_id) == (profile, caller)]
            assert [r for r in granted if r in own] == own, "a caller's requests keep their order"


@given(st.lists(st.tuples(st.integers(1, 100), st.integers(1, 100)), min_size=5, max_size=60))
def test_while_two_profiles_wait_their_tokens_differ_by_no_more_than_a_request_each(pairs):
    queue, granted = FairQueue(), Counter()
    for one, other in pairs:
        queue.add(Request("a", "x", one))
        queue.add(Request("b", "x", other))
    left = Counter(a=len(pairs), b=len(pairs))
    while left["a"] and left["b"]:
        request = grant(queue)
        granted[request.profile] += request.tokens
        left[request.profile] -= 1
        assert abs(granted["a"] - granted["b"]) <= 200


def test_a_burst_of_one_profile_lets_another_in_next():
    queue = FairQueue()
    for _ in range(100):
        queue.add(Request("a", "x", 10))
    assert [grant(queue).profile for _ in range(5)] == ["a"] * 5
    queue.add(Request("b", "y", 10))
    assert "b" in [grant(queue).profile for _ in range(2)]


def test_a_burst_of_one_caller_lets_another_of_the_same_profile_in_next():
    queue = FairQueue()
    for _ in range(100):
        queue.add(Request("a", "x", 10))
    grant(queue)
    queue.add(Request("a", "y", 10))
    assert "y" in [grant(queue).caller_id for _ in range(2)]


def test_nobody_saves_up_a_claim_by_staying_away():
    queue = FairQueue()
    for _ in range(100):
        queue.add(Request("a", "x", 10))
        grant(queue)
    for profile in ["a", "b"] * 20:
        queue.add(Request(profile, "x", 10))
    assert Counter(grant(queue).profile for _ in range(20)) == {"a": 10, "b": 10}


def test_one_that_always_comes_back_has_no_more_than_its_share():
    """A counter that went with its last request would let this caller be the very next every time."""
    queue, served = FairQueue(), Counter()
    for caller in ("x", "y"):
        for _ in range(50):
            queue.add(Request("a", caller, 10))
    for _ in range(60):
        if not any(r.caller_id == "z" for c in queue._waiting["a"].values() for r in c):
            queue.add(Request("a", "z", 10))
        served[grant(queue).caller_id] += 1
    assert served == {"x": 20, "y": 20, "z": 20}


def test_tokens_that_were_not_used_are_given_back():
    queue, served = FairQueue(), Counter()
    for _ in range(30):
        queue.add(Request("a", "x", 100))
        queue.add(Request("b", "x", 100))
    for _ in range(24):
        request = grant(queue)
        served[request.profile] += 1
        if request.profile == "a":
            queue.refund(request, 50)
    assert served == {"a": 16, "b": 8}


def test_what_was_not_used_before_anybody_else_came_is_no_claim():
    queue = FairQueue()
    for _ in range(60):
        queue.add(Request("a", "x", 100))
    early = [grant(queue) for _ in range(20)]
    for _ in range(20):
        queue.add(Request("b", "x", 100))
    for request in early:
        queue.refund(request, 90)
    assert Counter(grant(queue).profile for _ in range(20)) == {"a": 10, "b": 10}


def test_counters_of_strangers_are_bounded():
    counters = Counters()
    for i in range(3 * _MOST_COUNTERS):
        counters.join(str(i), [])
        counters.charge(str(i), 10)
    assert len(counters) <= _MOST_COUNTERS
