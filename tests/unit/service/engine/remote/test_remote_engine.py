"""The engine behind a URL, against a server that answers as vLLM's does and breaks in every way."""

import asyncio
from types import SimpleNamespace

import pytest
from vllm import SamplingParams

from rewards.errors import FgctlError
from service.domain.answer import LikelyToken
from service.engine.engine import ServiceStopping
from service.engine.plan import AdapterShapes
from service.engine.remote import remote_engine
from service.engine.remote.remote_engine import EngineAway, EngineBroke, EngineRefuses, RemoteEngine
from service.engine.remote.watch import EngineWatch
from service.settings import Settings

pytestmark = pytest.mark.anyio
MEDIUM = SimpleNamespace(adapter_name="medium@0123456789ab", merged=False)
NOT_THERE = SimpleNamespace(adapter_name="medium@ffffffffffff", merged=False)
PARENT = SimpleNamespace(adapter_name="sft@0123456789ab", merged=True)
GREEDY = SamplingParams(temperature=0, max_tokens=8)


@pytest.fixture
def make(tiny, monkeypatch):
    """Makes engines behind a URL, with short pauses."""
    monkeypatch.setattr(remote_engine, "_PAUSES", (0.01, 0.01))

    def of(url, **settings):
        shapes = AdapterShapes(8, frozenset({"q_proj"}), 4)
        return RemoteEngine(tiny, shapes, Settings(engine_url=url, engine_start_timeout=0.1, **settings))

    return of


@pytest.fixture
async def engine(make, server):
    started = make(f"{server.url}/v1/")
    await asyncio.to_thread(started.start)
    yield started
    started.stop()


async def text_of(engine, policy, params=GREEDY):
    return "".join([piece.text async for piece in engine.generate([1, 2], params, policy, "r")])


async def test_each_policy_answers_by_its_name_and_a_merged_parent_by_the_base(engine, server):
    for policy, name in ((MEDIUM, MEDIUM.adapter_name), (None, "base"), (PARENT, "base")):
        assert await text_of(engine, policy) == f"I am {name}"
    sent = {"prompt": [1, 2], "temperature": 0, "top_p": 1.0, "top_k": 0, "repetition_penalty": 1.0, "n": 1}
    assert sent.items() <= server.asked[0].items()


async def test_completions_come_piece_by_piece_with_their_log_probabilities(engine):
    params = SamplingParams(n=2, temperature=1, max_tokens=8, logprobs=2)
    pieces = [piece async for piece in engine.generate([1], params, MEDIUM, "r")]
    assert [(piece.index, piece.text, piece.tokens) for piece in pieces[:3]] == [
        (0, "I", 1),
        (1, "I", 1),
        (0, " am", 1),
    ]
    assert [piece.finish_reason for piece in pieces] == [None] * 4 + ["stop"] * 2
    (logprob,) = pieces[0].logprobs
    assert (logprob.token.text, logprob.token.logprob) == ("I", -2.0)
    assert [likely.text for likely in logprob.alternatives] == ["I", "other"]
    assert isinstance(logprob.alternatives[1], LikelyToken)


async def test_the_probe_tells_policies_apart_and_says_which_no_server_finds(engine):
    assert set(await engine.probe(None)) == {-1.0}
    assert set(await engine.probe(MEDIUM)) == {-2.0}
    with pytest.raises(FgctlError, match=r"medium@ffffffffffff does not exist.*fgctl's resolver"):
        await engine.probe(NOT_THERE)
    with pytest.raises(EngineRefuses, match="does not exist"):
        await text_of(engine, NOT_THERE)


async def test_what_has_reached_no_server_is_sent_again(engine, server):
    server.failures += [503, 503]
    assert await text_of(engine, MEDIUM) == "I am medium@0123456789ab"
    assert len(server.asked) == 3
    server.failures += [503] * 3
    with pytest.raises(EngineAway, match="try again in a few seconds"):
        await text_of(engine, MEDIUM)


@pytest.mark.parametrize("failure", ["reset", "cut", "error", "list", 502])
async def test_what_a_server_has_received_is_not_sent_again_and_a_stream_that_breaks_is_told(engine, server, failure):
    server.failures.append(failure)
    with pytest.raises(EngineBroke, match="broke off while it answered"):
        await text_of(engine, MEDIUM)
    assert len(server.asked) == 1
    assert await text_of(engine, MEDIUM) == "I am medium@0123456789ab"


async def test_the_log_has_the_reason_for_which_a_server_broke_off(engine, server, caplog):
    server.failures.append("error")
    with pytest.raises(EngineBroke):
        await text_of(engine, MEDIUM)
    assert "the engine broke off in the middle of r: the engine is dead" in caplog.text


async def test_a_server_that_is_away_and_comes_back_is_reached_again(engine, server):
    await server.stop()
    with pytest.raises(EngineAway):
        await text_of(engine, MEDIUM)
    assert not await engine.answers()
    await server.start()
    assert await text_of(engine, MEDIUM) == "I am medium@0123456789ab"
    assert await engine.answers()


async def test_the_watch_says_when_the_engine_is_away_and_reloads_when_it_is_back(engine, server):
    reloads = []

    async def reload():
        reloads.append(engine.alive)
        if len(reloads) == 1:
            raise FgctlError("The store is away.")

    watch = EngineWatch(engine, reload)
    await watch.look()
    assert (watch.up, reloads) == (True, [])
    for turn in (1, 2):
        await server.stop()
        await watch.look()
        assert watch.up  # one miss is no outage
        await watch.look()
        assert (watch.up, engine.alive, watch.hopeless) == (False, False, False)
        await server.start()
        await watch.look()
        assert (watch.up, engine.alive, len(reloads)) == (True, True, turn)


async def test_a_client_that_leaves_closes_the_connection_and_a_stop_ends_all(engine, server):
    server.failures += ["hang", "hang"]
    stream = engine.generate([1], GREEDY, MEDIUM, "r")
    await anext(stream)
    await stream.aclose()
    assert not engine._replies
    waiting = asyncio.create_task(text_of(engine, MEDIUM))
    while not engine._replies:
        await asyncio.sleep(0.01)
    await engine.abort_all()
    with pytest.raises(ServiceStopping):
        await waiting


async def test_an_engine_that_cannot_serve_is_refused_at_the_start(make, server):
    server.context = 100
    with pytest.raises(FgctlError, match=r"context of 100 tokens.*--max-model-len 2048"):
        await asyncio.to_thread(make(server.url).start)
    for url in ("http://127.0.0.1:1", "nowhere"):
        with pytest.raises(FgctlError, match=r"No engine answers at .*FGCTL_ENGINE_URL"):
            await asyncio.to_thread(make(url).start)
    server.context = None
    with pytest.raises(FgctlError, match=r"its list of models is not JSON.*FGCTL_ENGINE_URL"):
        await asyncio.to_thread(make(server.url).start)


async def test_a_stop_ends_the_wait_for_an_engine_that_is_away(tiny):
    settings = Settings(engine_url="http://127.0.0.1:1", engine_start_timeout=1e6)
    engine = RemoteEngine(tiny, AdapterShapes(8, frozenset({"q_proj"}), 4), settings)
    starting = asyncio.create_task(asyncio.to_thread(engine.start))
    await asyncio.sleep(0)
    engine.stop()
    with pytest.raises(FgctlError, match="No engine answers"):
        await starting
