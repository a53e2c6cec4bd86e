import asyncio
import os
import signal
from concurrent.futures.process import BrokenProcessPool

import pytest
from pydantic import ValidationError

from rewards.errors import FgctlError
from rewards.scores import ScoreRequest
from service.domain.hash_sampling import drawn
from service.metrics.scoring import DROP_REASONS
from service.scoring import queue
from service.scoring import worker as scoring_worker
from service.scoring.worker import ScoringWorker
from service.settings import Settings

pytestmark = pytest.mark.anyio


async def test_finished_responses_are_counted_by_profile_policy_and_category(service):
    await service.ask(profile="short")
    await service.score_all()
    labels = {"profile": "short", "policy": "000000000001"}
    for category in ("relevance", "factuality", "completeness"):
        assert service.metric("fg_segments_scored_total", **labels, category=category) == 1
        assert service.metric("fg_segment_errors_total", **labels, category=category) == 1
        buckets = {
            le: service.metric("fg_reward_bucket", profile="short", category=category, le=le) for le in ("-0.6", "-0.4")
        }
        assert buckets == {"-0.6": 0, "-0.4": 1}
    assert service.metric("fg_scoring_lag_seconds_count") == 1
    assert service.metric("fg_last_score_timestamp_seconds") > 0
    assert service.metric("fg_requests_total", **labels, outcome="ok") == 1
    assert service.metric("fg_tokens_total", profile="short", kind="completion") == 4


async def test_a_full_queue_drops_and_counts_and_every_reply_still_comes(service):
    for _ in range(5):
        assert (await service.ask()).status_code == 200
    assert service.metric("fg_scoring_queue_depth") == 2
    assert service.metric("fg_scoring_dropped_total", profile="medium", reason="queue_full") == 3
    await service.score_all()
    assert service.metric("fg_scoring_queue_depth") == 0
    assert service.worker.batches == [["The answer of medium."] * 2]


async def test_responses_without_passages_are_not_judged_where_all_categories_need_some(tmp_path, serve):
    file = tmp_path / "categories.toml"
    file.write_text(
        '[category.toxicity]\ndensity = "sentence"\ndescription = "d"\ntype = "http"\nurl = "http://127.0.0.1:9"\n'
    )
    service = serve(categories=file)
    for body in ({"question": "Where?"}, {"prompt": "Say"}, {"messages": [{"role": "user", "content": "Hi"}]}):
        assert (await service.ask(body)).status_code == 200
    await service.score_all()
    assert service.worker.batches == []
    assert service.metric("fg_scoring_dropped_total", profile="medium", reason="no_passages") == 3


async def test_what_is_not_in_the_sample_is_dropped_and_counted(serve):
    service = serve(scoring_share=0.5)
    ids = [(await service.ask()).json()["id"] for _ in range(30)]
    scored = sum(drawn(name, 0.5) for name in ids)
    out = service.metric("fg_scoring_dropped_total", profile="medium", reason="sampled_out")
    full = service.metric("fg_scoring_dropped_total", profile="medium", reason="queue_full")
    assert 0 < scored < 30
    assert (out, full) == (30 - scored, scored - 2)


async def test_a_profile_may_have_a_share_of_its_own(serve):
    service = serve(scoring_share=0, scoring_shares="medium=1")
    await service.ask(profile="medium")
    await service.ask(profile="short")
    await service.score_all()
    scored = {name: _of(service, "fg_responses_scored_total", name) for name in ("short", "medium")}
    assert scored == {"short": 0, "medium": 1}
    shares = {name: service.metric("fg_scoring_share", profile=name) for name in ("short", "medium")}
    assert shares == {"short": 0, "medium": 1}


@pytest.mark.parametrize("shares", ["medium", "=0.5", "medium=0.1,medium=0.9", "medium=2", "medium=much"])
def test_invalid_shares_are_refused(shares):
    with pytest.raises(ValidationError, match="scoring_shares"):
        Settings(scoring_shares=shares)
    assert Settings(scoring_shares="medium=0.1, long=0.5,").scoring_shares == {"medium": 0.1, "long": 0.5}


async def test_what_was_offered_is_scored_or_dropped_or_waits(serve):
    service = serve(scoring_share=0.7)
    for number in range(12):
        await service.ask(profile=("short", "medium", "long")[number % 3])
        if number % 5 == 0:
            await service.score_all()
    await service.ask({"prompt": "Say"}, profile="short")
    counts = dict.fromkeys(("offered", "scored", "dropped"), 0.0)
    for profile in ("short", "medium", "long"):
        counts["offered"] += service.metric("fg_scoring_offered_total", profile=profile)
        counts["scored"] += _of(service, "fg_responses_scored_total", profile)
        counts["dropped"] += sum(
            service.metric("fg_scoring_dropped_total", profile=profile, reason=reason) for reason in DROP_REASONS
        )
    assert counts["offered"] == 13
    assert counts["offered"] == counts["scored"] + counts["dropped"] + service.metric("fg_scoring_queue_depth")


def _of(service, name, profile):
    """A metric of a profile's served version."""
    return service.metric(name, profile=profile, policy=service.backend.roster.served[profile].version)


def test_a_sample_is_as_large_as_asked_and_the_same_every_time():
    ids = [f"resp_{i}" for i in range(2000)]
    for share in (0, 0.1, 0.5, 1):
        sample = [drawn(name, share) for name in ids]
        assert sample == [drawn(name, share) for name in ids]
        assert sum(sample) / len(ids) == pytest.approx(share, abs=0.03)
    assert all(drawn(name, 0.5) for name in ids if drawn(name, 0.1))


@pytest.mark.parametrize(("error", "reason"), [(TimeoutError(), "timeout"), (BrokenProcessPool(), "worker_died")])
async def test_a_worker_that_hangs_or_dies_costs_one_batch(service, monkeypatch, error, reason):
    monkeypatch.setattr(queue, "RESTART_PAUSE", 0)
    service.worker.raises = [error]
    await service.ask()
    await service.score_all()
    await service.ask()
    await service.score_all()
    assert service.metric("fg_scoring_dropped_total", profile="medium", reason=reason) == 1
    assert service.metric("fg_scoring_lag_seconds_count") == 1


async def test_one_response_that_cannot_be_scored_does_not_cost_the_others(service):
    service.worker.raises = [ValueError("in the batch"), ValueError("alone"), None]
    await service.ask(profile="short")
    await service.ask(profile="long")
    await service.score_all()
    assert service.metric("fg_scoring_dropped_total", profile="short", reason="failed") == 1
    assert service.metric("fg_segments_scored_total", profile="long", policy="000000000003", category="relevance") == 1


async def test_rejected_requests_are_counted_under_known_labels_only(service):
    await service.ask(profile="made-up")
    await service.ask({"question": "Where?", "max_tokens": 65}, profile="long")
    assert service.metric("fg_requests_total", profile="unknown", policy="unknown", outcome="rejected") == 1
    assert service.metric("fg_requests_total", profile="long", policy="000000000003", outcome="rejected") == 1
    assert b"made-up" not in service.backend.metrics.exposition()[0]


async def test_several_calls_are_made_at_once(serve):
    service = serve(scoring_processes=2, scoring_batch=1)
    service.worker.hold = asyncio.Event()
    for _ in range(2):
        await service.ask()
    running = asyncio.create_task(service.scoring.run())
    async with asyncio.timeout(30):
        while len(service.worker.batches) < 2:
            await asyncio.sleep(0)
    running.cancel()


class CountingWorker(ScoringWorker):
    """Counts its processes, none of which gets as far as loading anything."""

    pools = 0

    def _new_pool(self):
        self.pools += 1
        return super()._new_pool()


@pytest.fixture
def counting():
    workers = []

    def make(timeout):
        workers.append(CountingWorker(None, None, timeout))
        return workers[-1]

    yield make
    for worker in workers:
        worker.stop()


REQUESTS = [ScoreRequest("Where?", (), "Here.")]


async def test_several_calls_to_a_process_that_dies_replace_it_once(counting):
    worker = counting(60)
    calls = [asyncio.create_task(worker.score(REQUESTS)) for _ in range(3)]
    while not worker._pool._processes:
        await asyncio.sleep(0.01)
    os.kill(next(iter(worker._pool._processes)), signal.SIGKILL)
    raised = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(error) for error in raised] == [BrokenProcessPool] * 3
    assert worker.pools == 2


async def test_a_call_that_takes_too_long_does_not_cancel_the_callers_behind_it(counting):
    worker = counting(0.1)
    first = asyncio.create_task(worker.score(REQUESTS))
    await asyncio.sleep(0)  # it has been called, and may take so long
    worker._timeout = 600
    second = asyncio.create_task(worker.score(REQUESTS))
    raised = await asyncio.gather(first, second, return_exceptions=True)
    assert [type(error) for error in raised] == [TimeoutError, BrokenProcessPool]
    assert worker.pools == 2


async def test_a_process_that_is_stopped_is_killed_and_replaced(counting):
    worker = counting(1)
    scoring = asyncio.create_task(worker.score(REQUESTS))
    while not worker._pool._processes:
        await asyncio.sleep(0.01)
    process = next(iter(worker._pool._processes.values()))
    os.kill(process.pid, signal.SIGSTOP)
    with pytest.raises(TimeoutError):
        await scoring
    await asyncio.to_thread(process.join, 30)
    assert (process.exitcode, worker.pools) == (-signal.SIGKILL, 2)


async def test_processes_that_do_not_load_in_time_are_a_sentence(counting, monkeypatch):
    monkeypatch.setattr(scoring_worker, "_START_SECONDS", 0.01)
    worker = counting(60)
    with pytest.raises(FgctlError, match="did not load within"):
        await worker.start()
