"""One engine for every test in this folder: the service's application, in this process, over the integration store."""

import asyncio
import threading

import pytest


class LoopThread:
    """An event loop in a thread of its own, so that an engine outlives one test."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def run(self, awaitable, timeout=540):
        return asyncio.run_coroutine_threadsafe(awaitable, self.loop).result(timeout)

    def stop(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)


@pytest.fixture(scope="package")
def loop():
    thread = LoopThread()
    yield thread
    thread.stop()


@pytest.fixture(scope="package")
def app(store, loop):
    """The service's application, started. Its engine ends with the last test of this folder."""
    pytest.importorskip("vllm")
    from service.app import create_app
    from service.settings import Settings

    mixtures = store.root.parent / "mixtures"
    settings = Settings(policies=store.root, max_num_seqs=8, mixtures=mixtures, kv_cache_gib=1, best_of_timeout=300)
    app = create_app(settings)
    try:
        loop.run(app.state.backend.start(), timeout=540)
        yield app
    finally:
        loop.run(app.state.backend.stop())
