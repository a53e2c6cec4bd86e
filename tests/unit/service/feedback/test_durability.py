"""Acknowledged feedback survives killed processes and servers, full disks and other writers."""

import asyncio
import contextlib
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from service.feedback.errors import StoreFailed
from service.feedback.store.database import _LOCK
from service.feedback.store.feedback_store import open_store
from service.feedback.store.paging import all_items

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[4]
PROGRAM = Path(__file__).with_name("submitting.py")


def start(url, name, first=0, last=100_000, **arguments):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, str(PROGRAM), url, name, str(first), str(last)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT, **arguments)


async def submission_ids(url):
    """The ids of the submissions in a store, in order."""
    store = await open_store(url)
    try:
        return [a.submission_id async for a in all_items(lambda cursor: store.annotations(cursor, 1000))]
    finally:
        await store.close()


@pytest.mark.slow
async def test_processes_killed_while_they_submit(url):
    processes = [start(url, name) for name in "ab"]
    lines = [[process.stdout.readline() for _ in range(3)] for process in processes]
    acknowledged = []
    for process, first in zip(processes, lines, strict=True):
        process.send_signal(signal.SIGKILL)
        acknowledged.append("".join([*first, process.communicate(timeout=60)[0]]).splitlines())
    stored = await submission_ids(url)
    assert set(acknowledged[0] + acknowledged[1]) <= set(stored)
    assert len(stored) == len(set(stored))
    # The killed process sends again what was not acknowledged.
    sent = len(acknowledged[0]) + 3
    assert len(start(url, "a", 0, sent).communicate(timeout=120)[0].splitlines()) == sent
    stored = await submission_ids(url)
    assert len(stored) == len(set(stored))
    assert {f"a {i}" for i in range(sent)} <= set(stored)


async def test_a_postgres_that_loses_power_while_it_is_submitted_to(start_postgres):
    server = start_postgres()
    url = server.database()
    process = start(url, "a")
    acknowledged = [process.stdout.readline().strip() for _ in range(20)]
    server.kill()
    *rest, last = process.communicate(timeout=60)[0].splitlines()
    assert last.startswith("failed: The feedback store's database does not respond")
    server.start()
    stored = await submission_ids(url)
    assert set(acknowledged + rest) <= set(stored)
    assert len(stored) == len(set(stored)) <= len(acknowledged + rest) + 1


async def test_a_store_works_again_after_its_server_was_restarted(start_postgres, answer):
    server = start_postgres()
    store = await open_store(server.database())
    await store.record_response(answer("r1"))
    server.kill()
    with pytest.raises(StoreFailed, match="does not respond; check that it runs"):  # without saying where
        await store.record_response(answer("r2"))
    server.start()
    assert await store.record_response(answer("r2"))
    await store.close()


async def test_a_full_disk_is_reported_and_loses_nothing_stored_before(tmp_path, answer, annotation):
    """SQLite may use no more pages than it has, which it treats like a full disk."""
    url = f"sqlite:///{tmp_path}/x.db"
    store = await open_store(url)
    await store.sign_in("Ann")
    await store.record_response(answer())
    await store.submit(annotation("s0"))
    async with limited(store, pages=1):
        with pytest.raises(StoreFailed, match=r"disk is full.*free some space") as failed:
            await store.submit(annotation("s1", corrected="x" * 100_000))
    assert failed.value.status == 503
    assert [a.submission_id for a in (await store.annotations()).items] == ["s0"]
    assert (await store.submit(annotation("s1", corrected="x" * 100_000))).version == 2
    await store.close()
    assert await submission_ids(url) == ["s0", "s1"]


@contextlib.asynccontextmanager
async def limited(store, pages):
    """Limit the file of a store to so many pages, at least to those that it has."""
    from sqlalchemy import event

    def limit(connection, record, proxy):
        connection.execute(f"PRAGMA max_page_count = {pages}")

    def unlimit(connection, record, proxy):
        connection.execute(f"PRAGMA max_page_count = {1 << 30}")

    pool = store._database._engine.sync_engine.pool
    event.listen(pool, "checkout", limit)
    yield
    event.remove(pool, "checkout", limit)
    event.listen(pool, "checkout", unlimit)


async def test_a_file_that_cannot_grow_loses_nothing_stored_before(tmp_path):
    url = f"sqlite:///{tmp_path}/x.db"
    assert await submission_ids(url) == []

    def no_room():
        resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))

    process = start(url, "a", preexec_fn=no_room)
    *acknowledged, last = process.communicate(timeout=60)[0].splitlines()
    assert last.startswith("failed: The feedback store's disk is full or failing")
    assert len(acknowledged) > 3
    assert await submission_ids(url) == acknowledged
    with sqlite3.connect(tmp_path / "x.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_a_postgres_whose_files_cannot_grow_loses_nothing_stored_before(start_postgres, answer, annotation):
    server = start_postgres()
    url = server.database()
    server.stop()
    server.start(file_size=17 << 20)  # its write-ahead log has files of 16 MiB
    store = await open_store(url)
    await store.sign_in("Ann")
    await store.record_response(answer())
    acknowledged = []

    async def fill():
        for i in range(40):
            await store.submit(annotation(f"s{i}", corrected=os.urandom(500_000).hex()))
            acknowledged.append(f"s{i}")

    with pytest.raises(StoreFailed, match="disk is full or failing"):
        await fill()
    await store.close()
    assert len(acknowledged) > 3
    server.stop()
    server.start()
    assert await submission_ids(url) == acknowledged


async def test_another_process_that_keeps_the_file_busy(tmp_path, monkeypatch, answer):
    monkeypatch.setattr("service.feedback.store.database._BUSY_MILLISECONDS", 50)
    store = await open_store(f"sqlite:///{tmp_path}/x.db")
    other = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreFailed, match="busy too long"):
        await store.record_response(answer())
    other.execute("ROLLBACK")
    other.close()
    assert await store.record_response(answer())
    await store.close()


async def test_another_process_that_keeps_postgres_busy(postgres, monkeypatch, answer):
    import psycopg

    monkeypatch.setattr("service.feedback.store.database._BUSY_MILLISECONDS", 50)
    url = postgres.database()
    store = await open_store(url)
    with psycopg.connect(url) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        with pytest.raises(StoreFailed, match="busy too long"):
            await store.record_response(answer())
    assert await store.record_response(answer())
    await store.close()


async def test_sqlite_waits_for_the_disk_at_every_commit(tmp_path):
    store = await open_store(f"sqlite:///{tmp_path}/x.db")
    async with store._database.reading() as session:
        connection = await session.connection()
        settings = {
            name: (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
        }
    await store.close()
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1}


async def test_a_cancelled_submission_is_stored_whole_or_not_at_all(open_, answer, annotation, monkeypatch):
    store = await open_()
    await store.sign_in("Ann")
    await store.record_response(answer())
    for i in range(10):
        task = asyncio.create_task(store.submit(annotation(f"s{i}")))
        for _ in range(2**i):  # the event loop goes round so often: the submission is anywhere between begun and done
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    await asyncio.gather(*store._database._running)
    # No abandoned connection holds the writer's lock: another process gets it, though it does not wait for it.
    with monkeypatch.context() as impatient:
        impatient.setattr("service.feedback.store.database._BUSY_MILLISECONDS", 1)
        await (await open_()).sign_in("Bob")
    await asyncio.gather(*(store.submit(annotation(f"s{i}")) for i in range(10)))
    stored = (await store.annotations()).items
    assert sorted(a.version for a in stored) == list(range(1, 11))
    assert {a.submission_id for a in stored} == {f"s{i}" for i in range(10)}
