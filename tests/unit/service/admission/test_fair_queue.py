"""Fairness of the queue, among profiles and among a profile's callers."""

from collections import Counter
from dataclasses import dataclass

import hypothesis
from hypothesis import strategies as st

from service.admission.fair_queue import _MAX_COUNTERS, Counters, FairQueue


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


@hypothesis.given(requests)
def test_every_request_is_granted_once_and_the_queue_ends_empty(added):
    queue = FairQueue()
    for request in added:
        queue.add(request)
    assert (queue.requests, queue.tokens) == (len(added), sum(r.tokens for r in added))
    granted = [grant(queue) for _ in added]
    assert set(granted) == set(added)
    assert (queue.first(), queue.requests, queue.tokens) == (None, 0, 0)
    for profile in "abc":
        for caller in "xyz":
            own = [r for r in added if (r.profile, r.caller_id) == (profile, caller)]
            assert [r for r in granted if r in own] == own, "a caller's requests keep their order"


@hypothesis.given(st.lists(st.tuples(st.integers(1, 100), st.integers(1, 100)), min_size=5, max_size=60))
def test_while_two_profiles_wait_their_tokens_differ_by_at_most_one_request_each(pairs):
    queue, granted = FairQueue(), Counter()
    for a_tokens, b_tokens in pairs:
        queue.add(Request("a", "x", a_tokens))
        queue.add(Request("b", "x", b_tokens))
    left = Counter(a=len(pairs), b=len(pairs))
    while left["a"] and left["b"]:
        request = grant(queue)
        granted[request.profile] += request.tokens
        left[request.profile] -= 1
        assert abs(granted["a"] - granted["b"]) <= 200


def test_another_profile_is_next_during_a_burst():
    queue = FairQueue()
    for _ in range(100):
        queue.add(Request("a", "x", 10))
    assert [grant(queue).profile for _ in range(5)] == ["a"] * 5
    queue.add(Request("b", "y", 10))
    assert "b" in [grant(queue).profile for _ in range(2)]


def test_another_caller_of_the_same_profile_is_next_during_a_burst():
    queue = FairQueue()
    for _ in range(100):
        queue.add(Request("a", "x", 10))
    grant(queue)
    queue.add(Request("a", "y", 10))
    assert "y" in [grant(queue).caller_id for _ in range(2)]


def test_staying_away_earns_no_credit():
    queue = FairQueue()
    for _ in range(100):
        queue.add(Request("a", "x", 10))
        grant(queue)
    for profile in ["a", "b"] * 20:
        queue.add(Request(profile, "x", 10))
    assert Counter(grant(queue).profile for _ in range(20)) == {"a": 10, "b": 10}


def test_a_caller_with_one_request_at_a_time_gets_no_more_than_its_share():
    """If counters were dropped with a caller's last request, this caller would be next every time."""
    queue, served = FairQueue(), Counter()
    for caller in ("x", "y"):
        for _ in range(50):
            queue.add(Request("a", caller, 10))
    for _ in range(60):
        if not any(r.caller_id == "z" for c in queue._waiting["a"].values() for r in c):
            queue.add(Request("a", "z", 10))
        served[grant(queue).caller_id] += 1
    assert served == {"x": 20, "y": 20, "z": 20}


def test_unused_tokens_are_given_back():
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


def test_tokens_unused_before_others_came_earn_no_credit():
    queue = FairQueue()
    for _ in range(60):
        queue.add(Request("a", "x", 100))
    early = [grant(queue) for _ in range(20)]
    for _ in range(20):
        queue.add(Request("b", "x", 100))
    for request in early:
        queue.refund(request, 90)
    assert Counter(grant(queue).profile for _ in range(20)) == {"a": 10, "b": 10}


def test_the_number_of_counters_is_bounded():
    counters = Counters()
    for i in range(3 * _MAX_COUNTERS):
        counters.join(str(i), [])
        counters.charge(str(i), 10)
    assert len(counters) <= _MAX_COUNTERS
