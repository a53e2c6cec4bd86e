"""Limits of a caller that two replicas share, over a real Redis and a real PostgreSQL."""

import asyncio
import time

import pytest

from rewards.errors import FgctlError
from service.admission.shared_limits import MINUTE, SharedLimits, seconds_until
from service.domain.caller import NO_LIMITS, Caller, Limits
from service.errors import RateLimited, Unavailable

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(params=["redis", "postgres"])
def url(request):
    """Where limits are counted."""
    server = request.getfixturevalue(request.param)
    return server.url if request.param == "redis" else server.database()


@pytest.fixture
async def replicas(url, monkeypatch):
    monkeypatch.setattr("service.admission.shared_limits.STORE_SECONDS", 30.0)  # however busy the machine is
    started = [SharedLimits(url, NO_LIMITS, "closed", 300) for _ in range(2)]
    yield started
    for replica in started:
        await replica.close()


def caller(request, **limits):
    return Caller(f"key:{request.node.name}", limits=Limits(**limits))


async def given_back(replica):
    await asyncio.gather(*replica._settling)


async def test_requests_on_all_replicas_count_as_on_one(replicas, request):
    asking = caller(request, requests_per_minute=5)
    results = await asyncio.gather(
        *(replicas[number % 2].take(asking, 10, 1) for number in range(20)), return_exceptions=True
    )
    refused = [result for result in results if isinstance(result, RateLimited)]
    assert len(refused) == 15
    assert {error.reason for error in refused} == {"requests_per_minute"}
    assert all(1 <= error.retry_after <= 2 * MINUTE for error in refused)
    first = next(result for result in results if not isinstance(result, Exception))
    replicas[0].give_back(first, 10, 1, refused=True)
    await given_back(replicas[0])
    await replicas[1].take(asking, 10, 1)
    with pytest.raises(RateLimited):
        await replicas[0].take(asking, 10, 1)


async def test_unused_tokens_of_one_replica_can_be_used_on_another(replicas, request):
    asking = caller(request, tokens_per_minute=100)
    taken = await replicas[0].take(asking, 60, 1)
    with pytest.raises(RateLimited, match="this request may use 60; wait"):
        await replicas[1].take(asking, 60, 1)
    replicas[0].give_back(taken, 50, 1)
    await given_back(replicas[0])
    await replicas[1].take(asking, 60, 1)


async def test_a_request_of_more_than_a_minutes_tokens_is_its_callers_only_one(replicas, request):
    asking = caller(request, tokens_per_minute=100)
    await replicas[0].take(asking, 500, 1)
    with pytest.raises(RateLimited):
        await replicas[1].take(asking, 1, 1)


async def test_tokens_used_of_a_request_of_more_than_a_minutes_worth_stay_counted(replicas, request):
    asking = caller(request, tokens_per_minute=100)
    taken = await replicas[0].take(asking, 500, 2)
    for unused in (250, 200):  # of its two prompts, which used 50 tokens
        replicas[0].give_back(taken, unused, 1)
    await given_back(replicas[0])
    with pytest.raises(RateLimited):
        await replicas[1].take(asking, 60, 1)
    await replicas[1].take(asking, 40, 1)


async def test_what_ends_while_the_store_is_away_is_given_back_when_it_answers_again(replicas, request):
    asking = caller(request, concurrency=1, tokens_per_minute=100)
    taken = await replicas[0].take(asking, 100, 1)
    replicas[0]._away_until = time.monotonic() + 1000
    replicas[0].give_back(taken, 100, 1)
    await given_back(replicas[0])
    with pytest.raises(Unavailable):
        await replicas[0].take(asking, 100, 1)
    replicas[0]._away_until = 0.0
    assert await replicas[0].take(asking, 100, 1) is not None
    with pytest.raises(RateLimited):
        await replicas[1].take(asking, 100, 1)


async def test_a_store_that_fails_in_the_middle_keeps_nothing_of_the_request(replicas, request, monkeypatch, caplog):
    monkeypatch.setattr("service.admission.shared_limits._PAUSE", 0.0)
    asking = caller(request, concurrency=1, requests_per_minute=1)
    with monkeypatch.context() as failing:
        failing.setattr(replicas[0]._limiter, "hit", fail)
        with pytest.raises(Unavailable):
            await replicas[0].take(asking, 10, 1)
    assert "cannot be asked (no answer in 30 s)" in caplog.text
    assert await replicas[1].take(asking, 10, 1) is not None


async def fail(*arguments, **options):
    raise TimeoutError


async def test_one_request_finds_out_whether_the_store_is_back_and_no_other_waits(replicas, request, monkeypatch):
    replica, asking, asked = replicas[0], caller(request, requests_per_minute=1), []
    await replica.take(asking, 10, 1)

    async def hang(*arguments, **options):
        asked.append(arguments)
        await asyncio.Event().wait()

    with monkeypatch.context() as hanging:
        hanging.setattr(replica._limiter, "hit", hang)
        replica._away_until = time.monotonic() - 1
        first = asyncio.create_task(replica.take(asking, 10, 1))
        while not asked:
            await asyncio.sleep(0.01)
        for _ in range(3):
            with pytest.raises(Unavailable):
                await replica.take(asking, 10, 1)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
    assert len(asked) == 1
    replica._away_until = time.monotonic() - 1
    for _ in range(2):  # a refusal is an answer of the store, too
        with pytest.raises(RateLimited):
            await replica.take(asking, 10, 1)


async def test_completions_that_the_store_has_lost_are_no_credit(replicas, request):
    asking = caller(request, concurrency=1)
    taken = await replicas[0].take(asking, 10, 1)
    await replicas[0]._storage.clear(replicas[0]._key(taken))
    replicas[0].give_back(taken, 10, 1)
    await given_back(replicas[0])
    await replicas[0].take(asking, 10, 1)
    with pytest.raises(RateLimited, match="1 of your completions"):
        await replicas[1].take(asking, 10, 1)


async def test_a_table_that_is_lost_is_made_again(postgres, request, monkeypatch):
    import psycopg

    monkeypatch.setattr("service.admission.shared_limits._PAUSE", 0.0)
    url = postgres.database()
    replica, asking = SharedLimits(url, NO_LIMITS, "open", 300), caller(request, requests_per_minute=1)
    assert await replica.take(asking, 10, 1) is not None
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE fgctl_limits")
    assert await replica.take(asking, 10, 1) is None
    assert await replica.take(asking, 10, 1) is not None
    await replica.close()


@pytest.mark.parametrize(
    ("amount", "windows", "seconds"),
    [
        (1, (0, 0.0, 0, 0.0), 0),
        (50, (100, 30.0, 0, 90.0), 0),
        (60, (100, 30.0, 0, 90.0), 6),  # until 40 of the 100 count
        (60, (100, 30.0, 20, 90.0), 18),  # until 20 do
        (60, (100, 30.0, 80, 90.0), 60),  # 30 s to the next window, then half of it, when 40 of the 80 count
        (100, (0, 0.0, 1, 61.0), 61),  # until nothing counts
        (60, (-5, 30.0, 20, 90.0), 0),  # a negative count was given back after its window
    ],
)
def test_the_wait_is_until_the_amount_fits_into_the_sliding_window(amount, windows, seconds):
    assert seconds_until(amount, 100, *windows) == pytest.approx(seconds)


async def test_completions_in_service_on_all_replicas_count_until_they_end(replicas, request):
    asking = caller(request, concurrency=2)
    both = [await replica.take(asking, 10, 1) for replica in replicas]
    for _ in range(2):
        with pytest.raises(RateLimited, match="2 of your completions are in service and 2 are allowed"):
            await replicas[0].take(asking, 10, 1)
    replicas[1].give_back(both[1], 0, 1)
    await given_back(replicas[1])
    taken = await replicas[0].take(asking, 10, 1)
    for replica, own in ((replicas[0], taken), (replicas[0], both[0])):
        replica.give_back(own, 0, 1)
    await given_back(replicas[0])
    await replicas[1].take(asking, 10, 7)


async def test_a_request_that_writes_nothing_counts_as_a_request_alone(replicas, request):
    asking = caller(request, concurrency=1, requests_per_minute=2, tokens_per_minute=10)
    await replicas[0].take(asking, 10, 1)
    taken = await replicas[1].take(asking, 0, 0)
    with pytest.raises(RateLimited, match="2 requests per minute"):
        await replicas[0].take(asking, 0, 0)
    replicas[1].give_back(taken, 0, 0, refused=True)
    await given_back(replicas[1])
    await replicas[0].take(asking, 0, 0)


async def test_what_a_replica_that_died_has_counted_is_forgotten_after_two_windows(replicas, request, monkeypatch):
    asking, began = caller(request, concurrency=1), time.time()
    await replicas[0].take(asking, 10, 1)
    monkeypatch.setattr(time, "time", lambda: began + 300)
    with pytest.raises(RateLimited):
        await replicas[1].take(asking, 10, 1)
    monkeypatch.setattr(time, "time", lambda: began + 600)
    await replicas[1].take(asking, 10, 1)


async def test_a_caller_without_limits_is_not_counted(replicas):
    assert await replicas[0].take(Caller("key:free"), 10, 1) is None


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "postgresql://nobody@127.0.0.1:1/none"])
async def test_while_the_store_is_away_requests_pass_or_are_refused_as_set(url):
    asking = Caller("key:a", limits=Limits(requests_per_minute=1))
    passing, refusing = (SharedLimits(url, NO_LIMITS, fails, 300) for fails in ("open", "closed"))
    for _ in range(2):
        assert await passing.take(asking, 10, 1) is None
        with pytest.raises(Unavailable, match="try again in a few seconds"):
            await refusing.take(asking, 10, 1)
    assert await refusing.take(Caller("key:free"), 10, 1) is None
    for replica in (passing, refusing):
        await replica.close()


async def test_a_store_that_comes_back_is_asked_again(redis, request, monkeypatch):
    monkeypatch.setattr("service.admission.shared_limits._PAUSE", 0.0)
    replica, asking = SharedLimits(redis.url, NO_LIMITS, "open", 300), caller(request, requests_per_minute=1)
    redis.stop()
    assert await replica.take(asking, 10, 1) is None
    redis.start()
    assert await replica.take(asking, 10, 1) is not None
    with pytest.raises(RateLimited):
        await replica.take(asking, 10, 1)
    await replica.close()


@pytest.mark.parametrize("url", ["mysql://host", "redis://:secret@host:port", "postgresql://a:secret@host:port/b"])
def test_a_url_that_names_no_store_is_refused_in_a_sentence_without_its_password(url):
    with pytest.raises(FgctlError, match="FGCTL_LIMITS_URL names no store of limits; write redis://") as refusal:
        SharedLimits(url, NO_LIMITS, "open", 300)
    assert "secret" not in str(refusal.value)
