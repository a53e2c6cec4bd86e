"""A model divided between two workers, whose heads can be divided, with an adapter that is divided with it."""

import multiprocessing
import time
from types import SimpleNamespace

import psutil
import pytest
import torch

from tests.byte_llama import byte_llama
from tests.integration.loop_thread import LoopThread


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """A base with two wide heads."""
    return byte_llama(tmp_path_factory.mktemp("wide"), width=128, initializer_range=0.1)


@pytest.fixture(scope="module")
def adapter(wide, tmp_path_factory):
    """An adapter of every linear layer, and the model with it."""
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaForCausalLM

    model = LlamaForCausalLM.from_pretrained(wide.path, dtype=torch.float32)
    peft = get_peft_model(model, LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM"))
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in peft.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn_like(parameter) * 0.1)
    directory = tmp_path_factory.mktemp("adapters") / "wide" / "a1"
    peft.save_pretrained(directory)
    return directory, peft


@pytest.fixture(scope="module")
def engine(wide, adapter):
    pytest.importorskip("vllm")
    from service.engine.engine import Engine
    from service.engine.plan import shapes_for
    from service.settings import Settings

    words = "--tensor-parallel-size 2 --dtype float32"
    settings = Settings(engine_args=words, max_num_seqs=4, kv_cache_gib=1, max_prompt_tokens=128, max_tokens=64)
    made = Engine(wide, shapes_for([adapter[0]], 2), settings)
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def loop(engine):
    thread = LoopThread()
    yield thread
    thread.stop()


def logprobs(model, tokenizer, text):
    ids = tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]
    with torch.inference_mode():
        return model(ids).logits[0, :-1].log_softmax(-1).gather(-1, ids[0, 1:, None])[:, 0]


def test_a_divided_model_computes_what_the_whole_one_computes_with_and_without_an_adapter(engine, loop, wide, adapter):
    from transformers import AutoTokenizer

    from service.engine.engine import PROBE

    path, peft = adapter
    policy = SimpleNamespace(adapter_name="wide@a1", adapter_id=1, path=path, merged=False)
    loop.run(engine.load(policy))
    tokenizer = AutoTokenizer.from_pretrained(wide.path)
    expected = logprobs(peft, tokenizer, PROBE)
    with peft.disable_adapter():
        expected_of_base = logprobs(peft, tokenizer, PROBE)
    assert (expected - expected_of_base).abs().mean() > 0.05
    assert loop.run(engine.probe(policy)) == pytest.approx(expected.tolist(), abs=0.01)
    assert loop.run(engine.probe(None)) == pytest.approx(expected_of_base.tolist(), abs=0.01)


def test_an_engine_that_has_lost_a_worker_is_not_alive(engine, loop):
    loop.run(engine.answer())
    (core,) = [child for child in multiprocessing.active_children() if child.name.startswith("EngineCore")]
    workers = [child for child in psutil.Process(core.pid).children() if "Worker" in " ".join(child.cmdline())]
    assert len(workers) == 2
    workers[1].kill()
    deadline = time.monotonic() + 300
    while engine.alive and time.monotonic() < deadline:
        time.sleep(0.5)
    assert not engine.alive
