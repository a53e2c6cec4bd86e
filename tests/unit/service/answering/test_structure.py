"""The form that an answer must have is checked beside other work."""

import asyncio
import threading

import pytest

from service.answering import structure

pytestmark = pytest.mark.anyio


async def test_forms_that_take_long_to_check_hold_up_no_other_work(monkeypatch):
    release = threading.Event()
    monkeypatch.setattr(structure, "_check", lambda params: release.wait())
    checks = [asyncio.create_task(structure.check_structure(None)) for _ in range(100)]
    await asyncio.sleep(0)
    try:
        async with asyncio.timeout(30):
            assert await asyncio.to_thread(lambda: "done") == "done"
    finally:
        release.set()
        await asyncio.gather(*checks)
