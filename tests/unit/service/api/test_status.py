from dataclasses import replace
from importlib.metadata import version
from types import SimpleNamespace

import pytest

pytestmark = pytest.mark.anyio


async def test_live_at_once_and_ready_when_every_policy_answers(starting):
    assert (await starting.client.get("/livez")).status_code == 200
    reply = await starting.client.get("/readyz")
    assert (reply.status_code, reply.json()["status"]) == (503, "starting")
    starting.start()
    reply = await starting.client.get("/readyz")
    assert reply.status_code == 200
    assert len(reply.json()["policies"]) == 3


async def test_not_ready_while_a_policy_is_broken(service):
    service.break_profile("long", "its adapter is damaged.")
    reply = await service.client.get("/readyz")
    assert (reply.status_code, reply.json()["broken"]) == (503, {"long": "its adapter is damaged."})
    assert (await service.client.get("/livez")).status_code == 200


async def test_not_ready_without_the_engine_and_not_live_once_restarting_is_hopeless_or_the_start_failed(service):
    service.engine.gone = True
    reply = await service.client.get("/readyz")
    assert (reply.status_code, reply.json()["status"]) == (503, "restarting")
    assert (await service.client.get("/livez")).status_code == 200
    service.engine.gone = False
    core = service.backend.core
    service.backend.use(replace(core, supervisor=SimpleNamespace(hopeless=True, up=True)))
    assert (await service.client.get("/livez")).status_code == 503
    assert (await service.client.get("/readyz")).json()["status"] == "dead"
    service.backend.use(core)
    service.backend.failure = "There is no policy to serve."
    assert (await service.client.get("/livez")).status_code == 503
    assert (await service.client.get("/readyz")).json()["reason"] == "There is no policy to serve."


async def test_healthy_by_the_engine_alone_without_a_body(service):
    reply = await service.client.get("/health")
    assert (reply.status_code, reply.content) == (200, b"")
    service.break_profile("long", "its adapter is damaged.")
    assert (await service.client.get("/health")).status_code == 200
    service.engine.gone = True
    assert (await service.client.get("/health")).status_code == 503


async def test_the_version_is_that_of_the_package(service):
    reply = (await service.client.get("/version")).json()
    assert reply["version"] == version("fgctl")
    assert set(reply) == {"version", "revision", "vllm", "python"}


async def test_profiles_lists_policies_weights_and_what_is_broken(service):
    service.break_profile("short", "damaged")
    listed = (await service.client.get("/profiles")).json()
    assert listed["default"] == "medium"
    assert [entry["profile"] for entry in listed["profiles"]] == ["medium", "long"]
    assert listed["profiles"][1]["weights"] == {"relevance": 0.2, "factuality": 0.5, "completeness": 0.3}
    assert listed["profiles"][1]["scores"] == {"error_ratio": {"factuality": 0.2}}
    assert listed["broken"] == [{"profile": "short", "reason": "damaged"}]


async def test_series_and_baselines_exist_before_the_first_request(service):
    text = (await service.client.get("/metrics")).text
    assert 'fg_segment_errors_total{category="factuality",policy="000000000003",profile="long"} 0.0' in text
    assert service.metric(
        "fg_policy_baseline_error_ratio", profile="long", policy="000000000003", category="factuality"
    ) == pytest.approx(0.2)


async def test_unknown_paths_and_methods_have_the_error_body(service):
    for reply, status in (
        (await service.client.get("/nothing"), 404),
        (await service.client.get("/generate"), 405),
        (await service.client.get("/responses/none"), 404),
    ):
        assert reply.status_code == status
        assert reply.json()["error"]["message"]
