"""Langfuse's API for scores, by its contract as of version 5 of its clients: requests that it accepts, and replies."""

import asyncio
import base64
from datetime import datetime
from typing import Annotated, Literal

import httpx
import pytest
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter
from pydantic.alias_generators import to_camel

from service.domain.judged import TraceLink
from service.sinks.event import ScoredEvent
from service.sinks.langfuse import Langfuse
from tests.unit.service import jumping_clock
from tests.unit.service.sinks.test_delivery import SCORES, Running, event

pytestmark = pytest.mark.anyio
SECRET_KEY = "sk-lf-2"  # noqa: S105  # of the recorded server
LINK = TraceLink("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")


class ScoreContract(BaseModel, alias_generator=to_camel):
    """What the API accepts of a score. It ignores other fields, so a misspelt one would go unnoticed there."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: str
    trace_id: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    observation_id: Annotated[str, Field(pattern="^[0-9a-f]{16}$")] | None = None
    name: Annotated[str, Field(min_length=1)]
    value: float
    data_type: Literal["NUMERIC", "BOOLEAN", "CATEGORICAL", "CORRECTION", "TEXT"]
    comment: str
    metadata: dict[str, object]
    timestamp: AwareDatetime


class RecordedLangfuse:
    """Replies as the API does: 401 without the keys, 202 if all scores are accepted, else 207 with their number."""

    def __init__(self, rejected=()):
        self.rejected = rejected
        self.scores = {}
        self.away_until = 0.0

    async def __call__(self, request):
        assert (request.method, request.url.path) == ("POST", "/api/public/scores")
        if asyncio.get_running_loop().time() < self.away_until:
            return httpx.Response(502, text="<html>Bad Gateway</html>")
        if request.headers["authorization"] != "Basic " + base64.b64encode(f"pk-lf-1:{SECRET_KEY}".encode()).decode():
            return httpx.Response(401, json={"message": "Invalid credentials", "error": "UnauthorizedError"})
        scores = TypeAdapter(list[ScoreContract]).validate_json(request.content)
        accepted = {score.id: score for score in scores if score.name not in self.rejected}
        self.scores |= accepted
        if len(accepted) == len(scores):
            return httpx.Response(202, json={"message": "Accepted"})
        errors = [{"message": "the score config differs"}] * (len(scores) - len(accepted))
        return httpx.Response(207, json={"accepted": len(accepted), "rejected": len(errors), "errors": errors})


@pytest.fixture
def anyio_backend():
    return jumping_clock.BACKEND


def running(server, secret_key=SECRET_KEY):
    return Running(server, sink=Langfuse("https://langfuse.example/", "pk-lf-1", secret_key))


async def test_each_category_is_a_score_of_the_answers_trace():
    server = RecordedLangfuse()
    async with running(server) as langfuse:
        langfuse.delivery.add(ScoredEvent("resp_1", "medium", "7be1", event().request, SCORES, LINK))
        await langfuse.delivery.drained()
    (score,) = server.scores.values()
    assert isinstance(score.timestamp, datetime)
    assert score.model_dump(by_alias=True, exclude={"timestamp"}) == {
        "id": "resp_1-relevance",
        "traceId": LINK.trace_id,
        "observationId": LINK.span_id,
        "name": "relevance",
        "value": 0.0,
        "dataType": "NUMERIC",
        "comment": "1 of 2 segments are judged to be errors.",
        "metadata": {
            "response_id": "resp_1", "profile": "medium", "policy": "7be1", "label": "error", "in_domain": True,
        },
    }  # fmt: skip
    assert langfuse.value("delivered_total") == 1


async def test_without_a_trace_the_trace_id_is_made_of_the_answers_id_as_langfuses_clients_do():
    server = RecordedLangfuse()
    async with running(server) as langfuse:
        langfuse.add(1)
        await langfuse.delivery.drained()
    assert [score.trace_id for score in server.scores.values()] == ["4709b2d9f106fe8f4d87dd0dba79d1f8"]


async def test_nothing_is_lost_while_langfuse_is_away_for_a_minute():
    server = RecordedLangfuse()
    server.away_until = asyncio.get_running_loop().time() + 60
    async with running(server) as langfuse:
        for number in range(60):
            langfuse.add(1, number)
            await asyncio.sleep(1)
        assert server.scores == {}
        await langfuse.delivery.drained()
        assert langfuse.value("delivered_total") == 60
    assert server.scores.keys() == {f"resp_{number}-relevance" for number in range(60)}


async def test_scores_that_langfuse_rejects_are_counted_and_not_repeated():
    server = RecordedLangfuse(rejected=("relevance",))
    async with running(server) as langfuse:
        langfuse.add(1)
        await langfuse.delivery.drained()
    assert langfuse.value("lost_total", reason="refused") == 1
    assert langfuse.value("failures_total") == 0


async def test_wrong_keys_are_refused_and_logged(caplog):
    async with running(RecordedLangfuse(), secret_key="wrong") as langfuse:
        langfuse.add(1)
        await langfuse.delivery.drained()
    assert "Invalid credentials" in caplog.text
    assert langfuse.value("lost_total", reason="refused") == 1


async def test_an_answer_that_nothing_judged_is_not_sent():
    sink = Langfuse("https://langfuse.example", "pk-lf-1", "sk-lf-2")
    assert sink.message(ScoredEvent("resp_1", "medium", "1", event().request, type(SCORES)({}))) is None
