"""One engine for every test in this folder: the service's application, in this process, over the integration store."""

import pytest

from tests.integration.loop_thread import LoopThread


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
