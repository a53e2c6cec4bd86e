"""An engine whose vLLM is a stand-in: what its calls do when it dies, hangs or is stopped."""

import asyncio
import threading
from types import SimpleNamespace

import pytest

from service.engine import engine as engine_module
from service.engine.engine import AdapterShapes, Engine, EngineGone, NotLoaded
from service.errors import EngineFull
from service.settings import Settings

pytestmark = pytest.mark.anyio
SHAPES = AdapterShapes(8, frozenset({"q_proj"}), 4)


async def never(*_):
    await asyncio.Event().wait()


@pytest.fixture
def engine(monkeypatch):
    """One whose vLLM never answers."""
    pytest.importorskip("vllm")
    monkeypatch.setattr(engine_module, "_CHECK_SECONDS", 0.01)
    monkeypatch.setattr(engine_module, "_lora_request", lambda policy: policy)
    made = Engine(SimpleNamespace(path="base"), SHAPES, Settings(engine_start_timeout=0.05))
    made._llm = SimpleNamespace(errored=False, add_lora=never, remove_lora=never, collective_rpc=never)
    return made


@pytest.mark.parametrize("replaced", [False, True], ids=["died", "replaced"])
async def test_calls_end_when_the_engine_dies_or_is_replaced_before_it_answers(engine, replaced):
    policy = SimpleNamespace(adapter_id=1)
    calls = [asyncio.create_task(call) for call in (engine.load(policy), engine.answer(), engine.unload(policy))]
    await asyncio.sleep(0.05)
    assert not any(call.done() for call in calls)
    if replaced:
        engine._llm = SimpleNamespace(errored=False)
    else:
        engine._llm.errored = True
    async with asyncio.timeout(30):
        raised = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(error) for error in raised] == [EngineGone, EngineGone, type(None)]


async def test_what_the_engine_says_of_an_adapter_is_raised(engine):
    async def add_lora(request):
        raise ValueError("shapes do not match")

    engine._llm.add_lora = add_lora
    with pytest.raises(ValueError, match="shapes do not match"):
        await engine.load(SimpleNamespace(adapter_id=1))


def test_a_start_that_takes_too_long_is_ended_and_so_is_one_that_is_stopped(engine, monkeypatch):
    killed = threading.Event()
    monkeypatch.setattr(engine_module, "bind_cores", lambda: None)
    monkeypatch.setattr(engine_module, "kill_cores", killed.set)
    monkeypatch.setattr(engine_module, "engine_arguments", lambda *_: {"model": "base"})

    def start(arguments):
        assert killed.wait(30)
        raise RuntimeError("the core has died")

    monkeypatch.setattr("vllm.v1.engine.async_llm.AsyncLLM.from_engine_args", start)
    engine._llm = None
    with pytest.raises(RuntimeError, match="died"):
        engine.start()
    killed.clear()
    engine.stop()
    assert killed.is_set()


async def test_an_engine_is_never_asked_to_drop_or_to_read_an_adapter_by_itself(engine):
    async def done(*_):
        pass

    engine._llm.add_lora = engine._llm.remove_lora = done
    policies = [SimpleNamespace(adapter_name=f"mixture@{i}", adapter_id=i) for i in range(SHAPES.adapters + 1)]
    for policy in policies[:-1]:
        await engine.load(policy)
    await engine.load(policies[0])
    with pytest.raises(EngineFull, match="holds 4 adapters"):
        await engine.load(policies[-1])
    with pytest.raises(NotLoaded, match="mixture@4 is not loaded any more"):
        await anext(engine.generate([1], None, policies[-1], "r"))
    await engine.unload(policies[0])
    await engine.load(policies[-1])
    with pytest.raises(NotLoaded):
        await anext(engine.generate([1], None, policies[0], "r"))
