"""The service's start."""

import gc
from dataclasses import replace

import pytest

from rewards.errors import FgctlError
from service.backend import Backend
from service.settings import Settings

pytestmark = pytest.mark.anyio


async def test_what_the_start_leaves_in_memory_is_no_work_for_the_garbage_collector(starting):
    core = starting.core()

    async def load(front):
        return core

    backend = Backend(Settings(watch_policies=False), load)
    gc.unfreeze()
    try:
        await backend.start()
        assert gc.get_freeze_count() > 10_000
    finally:
        gc.unfreeze()
        await backend.stop()


async def test_reward_models_that_cannot_be_reloaded_are_told_beside_policies_that_were(service, monkeypatch):
    class Broken:
        async def reload(self):
            raise FgctlError("The file is damaged.")

    async def reload():
        pass

    monkeypatch.setattr(service.resolver, "reload", reload)
    service.backend.use(replace(service.backend.core, rewards=Broken()))
    reply = await service.client.post("/admin/reload")
    assert reply.status_code == 503
    message = "The policies were reloaded, and the reward models were not: The file is damaged."
    assert reply.json()["error"]["message"] == message


async def test_a_part_that_does_not_end_well_keeps_no_other_from_its_end(starting, monkeypatch, caplog):
    ended = []

    async def stop():
        ended.append(1)

    async def fail():
        raise OSError("the connection is gone")

    monkeypatch.setattr(starting.backend.feedback, "stop", fail)
    monkeypatch.setattr(starting.backend.front.sinks, "stop", stop)
    await starting.backend.stop()
    assert ended == [1]
    assert "the connection is gone" in caplog.text
