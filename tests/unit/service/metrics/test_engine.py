"""The engine's load by the names that routers read."""

import re
from types import SimpleNamespace

import pytest

from service.domain.engine_load import EngineLoad, RankLoad
from service.metrics.metrics import Metrics

NAMES = {"model_name": "smollm2"}


def policy(profile, version):
    return SimpleNamespace(profile=profile, adapter_name=f"{profile}@{version}")


@pytest.fixture
def metrics():
    return Metrics()


def value(metrics, name, **labels):
    return metrics.registry.get_sample_value(name, labels)


def adapters(metrics):
    """The labels of every series of vllm:lora_requests_info."""
    text = metrics.exposition()[0].decode()
    return [dict(re.findall(r'(\w+)="([^"]*)"', line)) for line in re.findall(r"vllm:lora_requests_info\{.*", text)]


def test_a_replica_is_one_engine_whatever_its_ranks(metrics):
    metrics.engine.queue = lambda: 7
    metrics.engine.show(EngineLoad("smollm2", {0: RankLoad(4, 1, 0.25), 1: RankLoad(3, 0, 0.75)}, (), 9))
    assert value(metrics, "vllm:num_requests_running", **NAMES) == 7
    assert value(metrics, "vllm:num_requests_waiting", **NAMES) == 8
    assert value(metrics, "vllm:kv_cache_usage_perc", **NAMES) == 0.5


def test_the_adapters_are_one_series_with_the_names_by_which_clients_ask(metrics):
    held = [policy("long", "a1"), policy("short", "b2"), policy("mixture", "c3")]
    metrics.engine.show(EngineLoad("smollm2", {}, tuple(held), 9))
    waiting = RankLoad(0, 1, 0.0, ("long@a1", "mixture@c3"))
    metrics.engine.show(EngineLoad("smollm2", {0: waiting}, tuple(held[:1]), 9))
    assert adapters(metrics) == [
        {"max_lora": "9", "running_lora_adapters": "long,long@a1", "waiting_lora_adapters": "long@a1"}
    ]


def test_an_engine_that_restarts_holds_and_does_nothing(metrics):
    metrics.engine.show(EngineLoad("smollm2", {0: RankLoad(4, 1, 0.5)}, (policy("long", "a1"),), 9))
    metrics.engine.show(EngineLoad("smollm2", {}, (), 9))
    assert value(metrics, "vllm:num_requests_running", **NAMES) == 0
    assert value(metrics, "vllm:kv_cache_usage_perc", **NAMES) == 0
    assert adapters(metrics) == [{"max_lora": "9", "running_lora_adapters": "", "waiting_lora_adapters": ""}]
