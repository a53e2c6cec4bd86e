import pytest

from service.backend import check_policies

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
    service.backend.roster.refuse("long", "its adapter is damaged.")
    reply = await service.client.get("/readyz")
    assert (reply.status_code, reply.json()["broken"]) == (503, {"long": "its adapter is damaged."})
    assert (await service.client.get("/livez")).status_code == 200


async def test_neither_live_nor_ready_once_the_engine_is_gone_or_the_start_failed(service):
    service.engine.gone = True
    assert (await service.client.get("/livez")).status_code == 503
    assert (await service.client.get("/readyz")).json()["status"] == "dead"
    service.engine.gone = False
    service.backend.failure = "There is no policy to serve."
    assert (await service.client.get("/livez")).status_code == 503
    assert (await service.client.get("/readyz")).json()["reason"] == "There is no policy to serve."


async def test_profiles_lists_policies_weights_and_what_is_broken(service):
    service.backend.roster.refuse("short", "damaged")
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


class Prober:
    """Adapters by what they answer; one cannot be loaded."""

    def __init__(self, answers):
        self.answers = answers

    async def load(self, policy):
        if self.answers[policy.profile] is None:
            raise Exception("shapes do not match")

    async def probe(self, policy):
        return self.answers[policy.profile if policy else "base"]


async def test_policies_that_answer_like_the_base_or_each_other_or_not_at_all_are_refused(service):
    base, other = [-1.0, -2.0], [-1.5, -2.5]
    roster = service.backend.roster
    await check_policies(Prober({"base": base, "short": base, "medium": other, "long": other}), roster)
    assert list(roster.served) == ["medium"]
    assert "just like the base" in roster.broken["short"]
    assert "just like profile medium" in roster.broken["long"]
    await check_policies(Prober({"base": base, "medium": None}), roster)
    assert "shapes do not match" in roster.broken["medium"]
