import pytest

from service.admission.caller_limits import _MOST_CALLERS, Bucket, CallerLimits
from service.domain.caller import Caller, Limits
from service.errors import Limited


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_a_bucket_says_exactly_when_it_can_be_taken_from():
    bucket = Bucket(60, 0.0)
    bucket.take(60)
    assert bucket.seconds_until(5, 0.0) == pytest.approx(5)
    assert bucket.seconds_until(5, 2.0) == pytest.approx(3)
    assert bucket.seconds_until(5, 5.0) == pytest.approx(0)


def test_more_than_a_minutes_worth_is_taken_from_a_full_bucket_and_owed():
    bucket = Bucket(60, 0.0)
    assert bucket.seconds_until(90, 0.0) == 0
    bucket.take(90)
    assert bucket.seconds_until(1, 0.0) == pytest.approx(31)
    bucket.give_back(1000)
    assert bucket.full(0.0)


def refused(limits, caller, tokens=0, **arguments):
    with pytest.raises(Limited) as caught:
        limits.check(caller, tokens, **arguments)
    return caught.value


def test_requests_a_minute():
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


def test_tokens_a_minute_and_what_was_not_used():
    clock = Clock()
    limits, caller = CallerLimits(Limits(tokens_per_minute=600), clock), Caller("k")
    limits.take(caller, 500)
    error = refused(limits, caller, 200)
    assert (error.reason, error.retry_after) == ("tokens_per_minute", 10)
    assert "lower max_tokens" in error.message
    limits.give_back("k", 400)
    limits.check(caller, 200)


def test_concurrency_advises_when_a_request_is_likely_to_end():
    limits, caller = CallerLimits(Limits(concurrency=4)), Caller("k")
    for _ in range(4):
        limits.check(caller)
        limits.take(caller, 1)
    error = refused(limits, caller, request_seconds=40.0)
    assert (error.reason, error.retry_after) == ("concurrency", 10)
    limits.give_back("k", 0)
    limits.check(caller)


def test_own_limits_come_first_and_callers_do_not_share():
    limits = CallerLimits(Limits(concurrency=1))
    vip, other = Caller("vip", limits=Limits(concurrency=2)), Caller("other")
    for caller in (vip, other):
        limits.take(caller, 1)
    limits.check(vip)
    assert refused(limits, other).reason == "concurrency"


def test_limits_that_change_hold_at_once_and_requests_in_service_still_count():
    limits = CallerLimits(Limits())
    limits.take(Caller("k", limits=Limits(concurrency=5)), 1)
    assert refused(limits, Caller("k", limits=Limits(concurrency=1))).reason == "concurrency"
    limits.check(Caller("k"))


def test_strangers_are_not_remembered_forever():
    clock = Clock()
    limits = CallerLimits(Limits(requests_per_minute=60), clock)
    for i in range(3 * _MOST_CALLERS):
        clock.now += 1
        limits.take(Caller(str(i)), 1)
        limits.give_back(str(i), 0)
    assert len(limits._uses) <= _MOST_CALLERS + 1
