"""Two replicas of the service that share a feedback store and the counts of limits, in one PostgreSQL."""

import asyncio

import pytest

from policies.promotion.sequential import CANARY, INCUMBENT
from service.domain.policy import Canary
from service.served.canary_evidence import read_evidence
from tests.unit.service.conftest import Service, served

pytestmark = pytest.mark.anyio
ASKED = {"question": "Where?", "passages": [{"title": "T", "text": "Here it is."}]}
CALLERS = 12


@pytest.fixture
async def replicas(postgres, tmp_path):
    database = postgres.database()
    started = []
    for name in "ab":
        service = Service(
            tmp_path / name, feedback_store=database, limits_url=database, limits_fail="closed",
            caller_requests_per_minute=2 * CALLERS, scoring_queue=50,
        )  # fmt: skip
        service.start()
        await service.backend.feedback.start()
        started.append(service)
    scoring = [asyncio.create_task(service.scoring.run()) for service in started]
    yield started
    for task in scoring:
        task.cancel()
    for service in started:
        await service.backend.front.shared.close()
        await service.backend.feedback.stop()


async def scored_response(service, response_id):
    """What a replica knows of an answer, once it is stored and scored."""
    for _ in range(600):
        reply = await service.client.get(f"/responses/{response_id}")
        if reply.status_code == 200 and reply.json()["scores"]:
            return reply.json()
        await asyncio.sleep(0.1)
    raise AssertionError(reply.text)


async def test_limits_answers_scores_and_canary_evidence_hold_over_both(replicas, tmp_path):
    for service in replicas:
        canary = served("medium", tmp_path, 9)
        service.resolver.roster.canaries["medium"] = Canary(canary, 0.5)
        service.backend.metrics.canaries.announce(service.resolver.roster, service.backend.categories)
    replies = [await replicas[number % 2].ask(ASKED) for number in range(2 * CALLERS)]
    assert {reply.status_code for reply in replies} == {200}
    for service in replicas:
        refused = await service.ask(ASKED)
        assert (refused.status_code, refused.json()["error"]["type"]) == (429, "rate_limited")
        assert int(refused.headers["retry-after"]) >= 1
    for number, reply in enumerate(replies):
        answer = reply.json()
        scored = await scored_response(replicas[(number + 1) % 2], answer["id"])
        assert scored["text"] == answer["text"]
        assert scored["scores"]["factuality"]["segments"][0]["error"] is True
    versions = {reply.json()["policy"]["version"] for reply in replies}
    assert len(versions) == 1  # a caller's version is the same on every replica
    metrics = {str(n): (await service.client.get("/metrics")).text for n, service in enumerate(replicas)}
    evidence = read_evidence(metrics, "medium", canary.version)
    arms = {CANARY: evidence.canary.responses, INCUMBENT: evidence.incumbent.responses}
    arm = CANARY if versions == {canary.version} else INCUMBENT
    assert arms == {CANARY: 0, INCUMBENT: 0} | {arm: 2 * CALLERS}
