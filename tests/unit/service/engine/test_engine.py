"""What the engine is started for, by the adapters that it is to hold, and what its calls do when vLLM dies or hangs.

vLLM is a stand-in here; the engine itself is in tests/integration.
"""

import asyncio
import json
import threading
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from policies.base import BaseModel
from service.domain.engine_load import RankLoad
from service.engine import engine as engine_module
from service.engine.engine import Engine, EngineGone, FormRefused, NotLoaded, RequestFailed
from service.engine.plan import AdapterShapes, EnginePlan, shapes_for
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
    plan = EnginePlan("cpu", {}, {"model": "base"}, {"max_num_seqs": 4}, SHAPES)
    monkeypatch.setattr(engine_module.EnginePlan, "of", lambda *_: plan)
    monkeypatch.setattr(engine_module, "prepare_environment", lambda *_: None)

    def start(arguments, stat_loggers):
        assert killed.wait(30)
        raise RuntimeError("the core has died")

    monkeypatch.setattr("vllm.v1.engine.async_llm.AsyncLLM.from_engine_args", start)
    engine._llm = None
    with pytest.raises(RuntimeError, match="died"):
        engine.start()
    killed.clear()
    engine.stop()
    assert killed.is_set()


@pytest.fixture
def ranked(engine):
    """One of two ranks, each of which says which adapter it was asked for."""

    def generate(text, params, request_id, lora_request, data_parallel_rank):
        async def answer():
            logprob = SimpleNamespace(logprob=-float(data_parallel_rank or 0))
            yield SimpleNamespace(prompt_token_ids=[1, 2], prompt_logprobs=[None, {2: logprob}])

        asked.append((request_id, data_parallel_rank))
        return answer()

    asked = []
    engine._llm.generate, engine.ranks = generate, 2
    return engine, asked


async def test_every_rank_is_probed_by_itself(ranked):
    engine, asked = ranked
    policy = SimpleNamespace(adapter_name="medium@a")
    assert [await engine.probe(policy, rank) for rank in range(engine.ranks)] == [[0.0], [-1.0]]
    engine.ranks = 1
    await engine.probe(None)
    assert asked == [("probe-medium@a-0", 0), ("probe-medium@a-1", 1), ("probe-base-0", None)]


def test_an_engine_whose_coordinator_has_died_is_not_alive(engine):
    assert engine.alive
    engine._coordinators = [SimpleNamespace(is_alive=lambda: False)]
    assert not engine.alive


@pytest.mark.parametrize(("backend", "shut_down"), [("mp", 0), ("ray", 1)])
def test_killing_ends_what_ray_runs_too(engine, monkeypatch, backend, shut_down):
    killed, asked = [], []
    monkeypatch.setattr(engine_module, "kill_cores", lambda: killed.append(1))
    engine._llm.vllm_config = SimpleNamespace(parallel_config=SimpleNamespace(data_parallel_backend=backend))
    engine._llm.shutdown = lambda: asked.append(1)
    engine.kill()
    assert (len(killed), len(asked)) == (1, shut_down)


async def test_the_load_is_told_after_a_step_and_when_adapters_change(engine):
    async def done(*_):
        pass

    told = []
    engine._llm.add_lora = engine._llm.remove_lora = done
    engine._base.name = "base"
    engine.on_load = lambda load: told.append((dict(load.ranks), load.held, load.most_held))
    policy, load = SimpleNamespace(adapter_id=1), RankLoad(2, 1, 0.5)
    await engine.load(policy)
    engine._count(1, load)
    await engine.unload(policy)
    assert told == [({}, (policy,), 4), ({1: load}, (policy,), 4), ({1: load}, (), 4)]


async def test_an_engine_is_never_asked_to_drop_or_to_read_an_adapter_by_itself(engine):
    async def done(*_):
        pass

    engine._llm.add_lora = engine._llm.remove_lora = done
    policies = [
        SimpleNamespace(adapter_name=f"mixture@{i}", adapter_id=i, merged=False) for i in range(SHAPES.adapters + 1)
    ]
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


@pytest.mark.parametrize(("form", "error"), [(None, RequestFailed), ({"regex": "a"}, FormRefused)])
async def test_a_request_that_the_engine_fails_on_is_no_answer(engine, form, error):
    from vllm import SamplingParams
    from vllm.sampling_params import StructuredOutputsParams

    async def generate(*_, **named):
        failed = SimpleNamespace(index=0, text="", token_ids=[], logprobs=None, finish_reason="error")
        yield SimpleNamespace(outputs=[failed], num_cached_tokens=0)

    engine._llm.generate = generate
    params = SamplingParams(structured_outputs=form and StructuredOutputsParams(**form))
    with pytest.raises(error):
        await anext(engine.generate([1], params, None, "r"))


@pytest.fixture
def adapter(tmp_path):
    """Writes an adapter of the modules; returns its directory."""

    def make(name, modules, rank=8, **config):
        directory = tmp_path / "medium" / name
        directory.mkdir(parents=True)
        tensors = {}
        for module in modules:
            tensors[f"base_model.model.model.layers.0.{module}.lora_A.weight"] = torch.ones(rank, 4)
            tensors[f"base_model.model.model.layers.0.{module}.lora_B.weight"] = torch.ones(4, rank)
        save_file(tensors, directory / "adapter_model.safetensors")
        plain = {"peft_type": "LORA", "r": rank, "lora_alpha": 16, "target_modules": ["q_proj"]}
        (directory / "adapter_config.json").write_text(json.dumps(plain | config))
        return directory

    return make


def test_the_modules_are_those_of_the_tensors_however_the_configuration_names_them(adapter):
    paths = [
        adapter("list", ["self_attn.q_proj"]),
        adapter("expression", ["mlp.up_proj", "mlp.down_proj"], target_modules=r".*\.mlp\.(up|down)_proj"),
    ]
    assert shapes_for(paths, 3) == AdapterShapes(8, frozenset({"q_proj", "up_proj", "down_proj"}), 5)


@pytest.mark.parametrize(("config", "rank"), [({}, 8), ({"rank_pattern": {"v_proj": 20}}, 32), ({"r": 9}, 16)])
def test_there_is_room_for_the_highest_rank_of_any_module(adapter, config, rank):
    assert shapes_for([adapter("a", ["self_attn.q_proj"], **config)], 0).rank == rank


def test_adapters_that_no_engine_takes_do_not_count(adapter, tmp_path):
    paths = [
        adapter("plain", ["self_attn.q_proj"]),
        adapter("pissa", ["mlp.up_proj"], init_lora_weights="pissa"),
        adapter("huge", ["mlp.up_proj"], rank_pattern={"x": 513}),
        tmp_path / "nothing",
    ]
    assert shapes_for(paths, 0) == AdapterShapes(8, frozenset({"q_proj"}), 1)


@pytest.mark.parametrize(
    ("modules", "config", "reason"),
    [
        (["self_attn.q_proj"], {}, None),
        (["self_attn.q_proj"], {"rank_pattern": {"q_proj": 9}}, "has rank 9, but the engine was started for ranks"),
        (
            ["self_attn.q_proj"],
            {"r": 600},
            "has rank 600, and engines take ranks up to 512; train it with a lower one.",
        ),
        (
            ["mlp.up_proj"],
            {},
            "changes the modules up_proj, for which the engine was not started; restart the service.",
        ),
    ],
)
def test_why_a_running_engine_does_not_take_an_adapter(adapter, tmp_path, modules, config, reason):
    policy = SimpleNamespace(adapter_name="medium@a", path=adapter("a", modules, **config))
    engine = Engine(BaseModel("base", tmp_path, "b"), AdapterShapes(8, frozenset({"q_proj"}), 1), Settings())
    answer = engine.why_not_loadable(policy)
    assert answer is None if reason is None else answer.startswith("medium@a ") and reason in answer
