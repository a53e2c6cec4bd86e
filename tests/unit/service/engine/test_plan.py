"""What the engine is started with: who sets which argument."""

import pytest
from pydantic import ValidationError

from policies.base import BaseModel
from policies.engine.memory import Layout
from rewards.errors import FgctlError
from service.engine import plan as plan_module
from service.engine.plan import OWNED, AdapterShapes, EnginePlan, local_workers
from service.settings import Settings

SHAPES = AdapterShapes(8, frozenset({"q_proj"}), 4)


@pytest.fixture
def planned(tmp_path, monkeypatch):
    """The plan for a command line, on a CPU or a GPU."""

    def make(words="", where="cpu", **settings):
        pytest.importorskip("vllm")
        monkeypatch.setattr(plan_module, "device", lambda: where)
        return EnginePlan.of(BaseModel("base", tmp_path, "b"), SHAPES, Settings(engine_args=words, **settings))

    return make


def test_what_the_user_names_replaces_the_defaults_and_nothing_that_the_service_needs(planned, tmp_path):
    plan = planned("--max-num-seqs 5 --dtype float32 --kv-cache-memory-bytes 1G --quantization fp8")
    arguments = plan.arguments
    assert (arguments["max_num_seqs"], arguments["dtype"], arguments["quantization"]) == (5, "float32", "fp8")
    assert arguments["kv_cache_memory_bytes"] == 1 << 30
    assert (arguments["model"], arguments["max_model_len"], arguments["enable_lora"]) == (str(tmp_path), 2048, True)
    assert plan.named.keys().isdisjoint(plan.defaults)
    assert planned("", "gpu").arguments["enable_chunked_prefill"] is True


def test_the_places_of_all_ranks_count(planned):
    plan = planned("-dp 3 -tp 2 -pp 2 --max-num-seqs 5")
    assert (plan.layout, plan.layout.devices, plan.sequences) == (Layout(3, 2, 2), 12, 15)
    assert local_workers(plan.named) == 12
    assert local_workers(planned("-dp 3 --data-parallel-size-local 1 -tp 2").named) == 2
    assert planned().sequences == 32
    assert planned("", "gpu").sequences == 256
    assert planned("-dp 2", max_num_seqs=7).sequences == 14


def test_shapes_of_adapters_are_merged_with_those_of_the_policies(planned):
    plan = planned("--max-lora-rank 64 --lora-target-modules up_proj down_proj")
    assert plan.shapes == AdapterShapes(64, frozenset({"q_proj", "up_proj", "down_proj"}), 4)
    assert plan.arguments["max_lora_rank"] == 64
    assert plan.arguments["lora_target_modules"] == ["down_proj", "q_proj", "up_proj"]
    assert planned("--max-lora-rank 1").arguments["max_lora_rank"] == 8


@pytest.mark.parametrize(
    ("words", "what_to_do"),
    [
        ("--model other", "FGCTL_BASE"),
        ("--max-model-len 9000", "FGCTL_MAX_PROMPT_TOKENS and FGCTL_MAX_TOKENS"),
        ("--max-loras 3", "FGCTL_RESIDENT_ADAPTERS"),
        ("--no-enable-lora", "FGCTL_RESIDENT_ADAPTERS"),
        ("--generation-config auto", "profiles.toml"),
        ("--data-parallel-external-lb", "--data-parallel-size"),
        ("--max-num-queued-reqs 3", "FGCTL_WAITING_REQUESTS"),
        ("--enable-chunked-prefill", "a chunked prompt with a seed would end the engine"),
    ],
)
def test_what_the_service_owns_is_refused_with_what_to_do_instead(planned, words, what_to_do):
    with pytest.raises(FgctlError, match="cannot be given") as caught:
        planned(words)
    assert what_to_do in str(caught.value)


def test_chunks_may_be_switched_off_on_a_gpu(planned):
    assert planned("--no-enable-chunked-prefill", "gpu").arguments["enable_chunked_prefill"] is False


def test_vllm_has_every_argument_that_the_service_owns():
    arguments = pytest.importorskip("vllm").AsyncEngineArgs.__dataclass_fields__
    assert OWNED.keys() <= arguments.keys()


def test_the_setting_is_split_like_a_command_line():
    settings = Settings(engine_args="""--hf-overrides '{"a": 1}' -tp 2""")
    assert settings.engine_args == ("--hf-overrides", '{"a": 1}', "-tp", "2")
    assert Settings(engine_args=("-tp", "2")).engine_args == ("-tp", "2")
    with pytest.raises(ValidationError, match="No closing quotation"):
        Settings(engine_args="--hf-overrides '{")
