"""What the engine is started for, by the adapters that it is to hold. The engine itself is in tests/integration."""

import json
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from policies.base import BaseModel
from service.engine.engine import AdapterShapes, Engine, shapes_for
from service.settings import Settings


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
