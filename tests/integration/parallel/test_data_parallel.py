"""The service on an engine of two data-parallel ranks, which is one engine to everybody else."""

import asyncio
import multiprocessing
import os
import signal
from collections import Counter

import httpx
import pytest

from policies.mixing import MIXTURE
from tests.integration.loop_thread import LoopThread

QUESTION = {
    "question": "How tall is the Aldermouth Lighthouse?",
    "passages": [{"title": "Aldermouth Lighthouse", "text": "The tower is 31 metres tall and has 164 steps."}],
    "max_tokens": 16,
    "temperature": 0,
}
SEQUENCES = 4


@pytest.fixture(scope="module")
def loop():
    thread = LoopThread()
    yield thread
    thread.stop()


@pytest.fixture(scope="module")
def policies(base, making, tmp_path_factory):
    """A store with three profiles that mix."""
    from policies.store import PolicyStore

    root = tmp_path_factory.mktemp("ranks")
    store = PolicyStore(root / "policies")
    for seed, (profile, weights) in enumerate([("left", "4,1,1"), ("right", "1,4,1"), ("top", "1,1,4")]):
        adapter = making.adapter(base, root / profile, seed, 0.25, rank=4)
        store.promote(profile, making.policy(store, base, profile, adapter, weights).version)
    return store


@pytest.fixture(scope="module")
def app(policies, loop):
    pytest.importorskip("vllm")
    from service.app import create_app
    from service.settings import Settings

    settings = Settings(
        policies=policies.root, mixtures=policies.root.parent / "mixtures", max_num_seqs=SEQUENCES, kv_cache_gib=1,
        engine_args="--data-parallel-size 2",
    )  # fmt: skip
    app = create_app(settings)
    try:
        loop.run(app.state.backend.start(), timeout=900)
        yield app
    finally:
        loop.run(app.state.backend.stop())


@pytest.fixture(scope="module")
def engine(app):
    return app.state.backend.core.engine


@pytest.fixture(scope="module")
def client(app):
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test", timeout=500)


@pytest.fixture
def ask(client, loop):
    """Sends a request for each profile at once; the replies."""

    def asked(*profiles):
        async def together():
            return await asyncio.gather(
                *(client.post("/generate", params={"profile": profile}, json=QUESTION) for profile in profiles)
            )

        return loop.run(together())

    return asked


@pytest.fixture
def probes(engine, loop):
    """What each rank answers to the probe under a policy."""

    def probed(policy):
        return [loop.run(engine.probe(policy, rank)) for rank in range(engine.ranks)]

    return probed


def alike(first, second):
    """Whether two probes differ by no more than the rounding of batches of different make-up."""
    return max(abs(a - b) for a, b in zip(first, second, strict=True)) < 0.25


def test_the_places_of_both_ranks_count(app, engine):
    assert (engine.ranks, engine.sequences) == (2, 2 * SEQUENCES)
    assert app.state.backend.admission.places == 2 * SEQUENCES + 1


def test_every_rank_holds_every_policy(app, probes):
    served = app.state.backend.roster.served
    answers = {name: probes(policy) for name, policy in served.items()} | {"base": probes(None)}
    for name, (first, second) in answers.items():
        assert alike(first, second), name
        for other, (theirs, _) in answers.items():
            assert other == name or not alike(first, theirs)


def test_both_ranks_answer_each_request_by_its_own_policy(engine, ask, app):
    alone = {profile: ask(profile)[0].json()["text"] for profile in ("left", "right", "top")}
    replies = ask(*["left", "right", "top"] * 5)
    assert {reply.status_code for reply in replies} == {200}
    served = {name: policy.version for name, policy in app.state.backend.roster.served.items()}
    for reply in replies:
        assert reply.json()["policy"]["version"] == served[reply.json()["profile"]]
    # Rounding may part two greedy answers of one policy, but adapters this strong share no answers.
    texts = [(reply.json()["profile"], reply.json()["text"]) for reply in replies]
    same = Counter(text == alone[profile] for profile, text in texts)
    assert same[True] > len(texts) // 2
    assert engine._loads.keys() == {0, 1}


def test_a_promotion_and_a_mixture_reach_every_rank(app, base, policies, making, loop, client, probes, ask, tmp_path):
    old = app.state.backend.roster.served["left"]
    adapter = making.adapter(base, tmp_path / "left", 20, 0.25, rank=4)
    new = making.policy(policies, base, "left", adapter, "4,1,1").version
    policies.promote("left", new, force=True)
    assert loop.run(client.post("/admin/reload")).status_code == 200
    assert ask("left")[0].json()["policy"]["version"] == new
    first, second = probes(app.state.backend.roster.served["left"])
    assert alike(first, second)
    assert old.version != new
    reply = loop.run(client.post("/generate", params={"weights": "0.4,0.4,0.2"}, json=QUESTION)).json()
    assert reply["profile"] == MIXTURE
    mixture = next(
        policy for policy in app.state.backend.resolver._loaded._loaded.values() if policy.profile == MIXTURE
    )
    first, second = probes(mixture)
    assert alike(first, second)
    assert not alike(first, probes(None)[0])


def test_a_rank_that_is_killed_is_said_and_replaced_with_all_policies(app, client, loop, probes, engine):
    backend = app.state.backend
    before = {name: probes(policy)[0] for name, policy in backend.roster.served.items()}
    (rank,) = [child for child in multiprocessing.active_children() if child.name == "EngineCore_DP1"]

    async def kill_while_answering():
        asking = [asyncio.create_task(client.post("/generate?profile=left", json=QUESTION)) for _ in range(12)]
        await asyncio.sleep(0.5)
        os.kill(rank.pid, signal.SIGKILL)
        replies = await asyncio.gather(*asking)
        noticed = False
        for _ in range(1200):
            reply = await client.get("/readyz")
            noticed = noticed or reply.status_code == 503
            if noticed and reply.status_code == 200:
                return replies
            await asyncio.sleep(0.5)
        raise AssertionError((noticed, reply.text))

    replies = loop.run(kill_while_answering(), timeout=900)
    assert {reply.status_code for reply in replies} <= {200, 503}
    assert {r.json()["error"]["type"] for r in replies if r.status_code == 503} <= {"unavailable", "overloaded"}
    assert backend.metrics.registry.get_sample_value("fg_engine_restarts_total") == 1
    assert [child.name for child in multiprocessing.active_children()].count("EngineCore_DP1") == 1
    for name, policy in backend.roster.served.items():
        for probed in probes(policy):
            assert alike(probed, before[name])
