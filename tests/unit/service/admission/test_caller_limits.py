"""Limits of one caller: token buckets, concurrency, and forgotten callers."""

import pytest

from service.admission.caller_limits import _MAX_CALLERS, Bucket, CallerLimits
from service.domain.caller import Caller, Limits
from service.errors import RateLimited


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_a_bucket_tells_exactly_when_an_amount_can_be_taken():
    bucket = Bucket(60, 0.0)
    bucket.take(60)
    assert bucket.seconds_until(5, 0.0) == pytest.approx(5)
    assert bucket.seconds_until(5, 2.0) == pytest.approx(3)
    assert bucket.seconds_until(5, 5.0) == pytest.approx(0)


def test_a_full_bucket_gives_more_than_a_minutes_worth_and_must_refill_it():
    bucket = Bucket(60, 0.0)
    assert bucket.seconds_until(90, 0.0) == 0
    bucket.take(90)
    assert bucket.seconds_until(1, 0.0) == pytest.approx(31)
    bucket.give_back(1000)
    assert bucket.full(0.0)


def test_a_caller_is_told_what_is_left_of_its_limits():
    clock = Clock()
    limits = CallerLimits(Limits(requests_per_minute=6, tokens_per_minute=600), clock)
    caller = Caller("a")
    limits.take(caller, 300)
    remaining = limits.remaining(caller)
    assert (remaining["requests"].limit, remaining["requests"].left, remaining["requests"].reset) == (6, 5, 10)
    assert (remaining["tokens"].left, remaining["tokens"].reset) == (300, 30)
    limits.take(caller, 400)
    assert (limits.remaining(caller)["tokens"].left, limits.remaining(caller)["tokens"].reset) == (0, 70)
    clock.now += 60
    assert limits.remaining(caller)["tokens"].left == 500
    assert CallerLimits(Limits(concurrency=1), clock).remaining(caller) == {}


def refused(limits, caller, tokens=0, **arguments):
    with pytest.raises(RateLimited) as caught:
        limits.check(caller, tokens, **arguments)
    return caught.value


def test_requests_per_minute_are_limited():
    clock = Clock()
    limits, caller = CallerLimits(Limits(), clock), Caller("k", limits=Limits(requests_per_minute=3))
    for _ in range(3):
        limits.check(caller)
        limits.take(caller, 10)
        limits.give_back("k", 0)
    error = refused(limits, caller)
    assert (error.status, error.reason, error.retry_after) == (429, "requests_per_minute", 20)
    clock.now += 20
    limits.check(caller)


def test_what_is_refused_in_the_end_costs_nothing():
    limits, caller = CallerLimits(Limits(), Clock()), Caller("k", limits=Limits(1, 1, 100))
    limits.take(caller, 100)
    limits.give_back("k", 60, 0, ended=False, refused=True)
    assert refused(limits, caller).reason == "concurrency"
    limits.give_back("k", 40, refused=True)
    limits.check(caller, 100)


def test_tokens_per_minute_are_limited_and_unused_ones_come_back():
    clock = Clock()
    limits, caller = CallerLimits(Limits(tokens_per_minute=600), clock), Caller("k")
    limits.take(caller, 500)
    error = refused(limits, caller, 200)
    assert (error.reason, error.retry_after) == ("tokens_per_minute", 10)
    assert "lower max_tokens" in error.message
    limits.give_back("k", 400)
    limits.check(caller, 200)


def test_a_caller_at_its_concurrency_is_told_when_a_request_is_likely_to_end():
    limits, caller = CallerLimits(Limits(concurrency=4)), Caller("k")
    for _ in range(4):
        limits.check(caller)
        limits.take(caller, 1)
    error = refused(limits, caller, request_seconds=40.0)
    assert (error.reason, error.retry_after) == ("concurrency", 10)
    limits.give_back("k", 0)
    limits.check(caller)


def test_completions_count_and_a_request_of_many_may_be_the_only_one():
    limits, caller = CallerLimits(Limits(concurrency=4)), Caller("k")
    limits.check(caller, completions=16)
    limits.take(caller, 1, 16)
    assert refused(limits, caller).reason == "concurrency"
    limits.give_back("k", 0, 16)
    limits.take(caller, 1, 3)
    limits.check(caller, completions=1)
    with pytest.raises(RateLimited, match="3 of your completions are in service and 4 are allowed"):
        limits.check(caller, completions=2)


def test_a_callers_own_limits_take_precedence_and_are_not_shared():
    limits = CallerLimits(Limits(concurrency=1))
    vip, other = Caller("vip", limits=Limits(concurrency=2)), Caller("other")
    for caller in (vip, other):
        limits.take(caller, 1)
    limits.check(vip)
    assert refused(limits, other).reason == "concurrency"


def test_changed_limits_apply_at_once_and_requests_in_service_still_count():
    limits = CallerLimits(Limits())
    limits.take(Caller("k", limits=Limits(concurrency=5)), 1)
    assert refused(limits, Caller("k", limits=Limits(concurrency=1))).reason == "concurrency"
    limits.check(Caller("k"))


def test_idle_callers_are_forgotten():
    clock = Clock()
    limits = CallerLimits(Limits(requests_per_minute=60), clock)
    for i in range(3 * _MAX_CALLERS):
        clock.now += 1
        limits.take(Caller(str(i)), 1)
        limits.give_back(str(i), 0)
    assert len(limits._usages) <= _MAX_CALLERS + 1
