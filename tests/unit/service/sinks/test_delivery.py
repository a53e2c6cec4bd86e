"""Delivery to sinks: nothing is lost while a receiver is away, and what is lost is counted."""

import asyncio
import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from rewards.errors import FgctlError
from rewards.scores import CategoryScores, ScoredResponse, ScoreRequest, Segment
from service.app import create_app
from service.metrics.metrics import Metrics
from service.settings import Settings
from service.sinks.delivery import AT_ONCE, LONGEST, Delivery, asked_to_wait, last_chance
from service.sinks.event import ScoredEvent
from service.sinks.webhook import Webhook, signature
from tests.unit.service import jumping_clock

pytestmark = pytest.mark.anyio
KEY = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SECRET = f"whsec_{KEY}"
SEGMENTS = (Segment(0, 5, 0.75, True), Segment(5, 9, 0.25, False))
SCORES = ScoredResponse({"relevance": CategoryScores(SEGMENTS, (-0.5, 0.5))})


@pytest.fixture
def anyio_backend():
    return jumping_clock.BACKEND


class Receiver:
    """Replies as it is told, by a status for each request; then by the last."""

    def __init__(self, *statuses):
        self.statuses = list(statuses)
        self.requests = []
        self.away_until = 0.0
        self.at_once = 0

    async def __call__(self, request):
        loop = asyncio.get_running_loop()
        self.at_once += 1
        await asyncio.sleep(0.01)
        self.at_once -= 1
        if loop.time() < self.away_until:
            raise httpx.ConnectError("refused")
        self.requests.append(request)
        return httpx.Response(self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0])


class Running:
    """A delivery that runs, with its metrics."""

    def __init__(self, receiver, limit=100, sink=None):
        self.metrics = Metrics()
        self.sink = sink or Webhook("http://receiver/hook", SECRET, content=False, clock=lambda: 1614265330)
        self.delivery = Delivery(self.sink, self.metrics.sinks, limit, httpx.MockTransport(receiver))
        self.task = None

    async def __aenter__(self):
        self.task = asyncio.create_task(self.delivery.run())
        return self

    async def __aexit__(self, *_):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    def add(self, count, start=0):
        for number in range(start, start + count):
            self.delivery.add(event(f"resp_{number}"))

    def value(self, name, **labels):
        return self.metrics.registry.get_sample_value(f"fg_sink_{name}", {"sink": self.sink.name, **labels})


def event(name="resp_1"):
    return ScoredEvent(name, "medium", "1", ScoreRequest("Where?", (), "Hello you"), SCORES)


def delivered(receiver):
    return [json.loads(request.content)["data"]["id"] for request in receiver.requests]


async def test_a_request_is_signed_as_standard_webhooks_describe():
    receiver = Receiver(204)
    async with Running(receiver) as running:
        running.add(1)
        await running.delivery.drained()
    request = receiver.requests[0]
    headers, body = request.headers, request.content
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(KEY)
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert headers["webhook-timestamp"] == "1614265330"
    message = json.loads(body)
    assert message["type"] == "response.scored"
    assert message["data"] | {"trace_id": None} == {
        "id": "resp_0", "profile": "medium", "policy": "1", "trace_id": None, "span_id": None,
        **SCORES.as_json(), "verdicts": {"relevance": {"score": 0.0, "label": "error"}},
    }  # fmt: skip
    assert message["data"]["trace_id"] == hashlib.sha256(b"resp_0").hexdigest()[:32]


def test_the_signature_is_that_of_the_specifications_example():
    key = base64.b64decode(KEY)
    signed = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_texts_are_sent_only_if_asked():
    receiver = Receiver(204)
    async with Running(receiver, sink=Webhook("http://receiver/", SECRET, content=True)) as running:
        running.add(1)
        await running.delivery.drained()
    data = json.loads(receiver.requests[0].content)["data"]
    assert (data["question"], data["passages"], data["response"]) == ("Where?", [], "Hello you")


async def test_nothing_is_lost_while_the_receiver_is_away_for_a_minute():
    receiver = Receiver(200)
    receiver.away_until = asyncio.get_running_loop().time() + 60
    async with Running(receiver) as running:
        for number in range(60):
            running.add(1, number)
            await asyncio.sleep(1)
        assert receiver.requests == []
        await running.delivery.drained()
        assert running.value("delivered_total") == 60
        assert running.value("queue_depth") == 0
        assert sum(running.value("lost_total", reason=reason) for reason in ("queue_full", "refused", "failed")) == 0
    assert sorted(delivered(receiver)) == sorted(f"resp_{i}" for i in range(60))
    assert asyncio.get_running_loop().time() < 60 + 90


async def test_events_that_a_receiver_never_takes_hold_up_no_others():
    taken = []

    async def receiver(request):
        name = json.loads(request.content)["data"]["id"]
        if int(name.removeprefix("resp_")) < 2 * AT_ONCE:
            return httpx.Response(500)
        taken.append(name)
        return httpx.Response(200)

    async with Running(receiver) as running:
        running.add(2 * AT_ONCE + 10)
        await asyncio.sleep(60)
        running.add(10, 50)
        await asyncio.sleep(60)
        assert running.value("delivered_total") == len(taken) == 20
        assert running.value("queue_depth") == 2 * AT_ONCE


async def test_a_receiver_that_is_away_is_asked_less_and_less_often():
    receiver = Receiver(503)
    async with Running(receiver) as running:
        running.add(1)
        await asyncio.sleep(600)
        assert 20 < running.value("failures_total") < 50
        assert running.value("queue_depth") == 1


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503])
async def test_what_may_succeed_later_is_sent_again_with_the_same_id(status):
    receiver = Receiver(status, status, 200)
    async with Running(receiver) as running:
        running.add(1)
        await running.delivery.drained()
    assert len(receiver.requests) == 3
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 1
    assert running.value("delivered_total") == 1
    assert running.value("failures_total") == 2


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("90", 90),
        ("100000", LONGEST),
        ("in a while", 0),
        ("-5", 0),
        ("Wed, 01 Jan 2020 00:00:00 GMT", 0),
        ("1" * 5000, LONGEST),
    ],
)
async def test_nothing_is_sent_before_the_time_that_a_receiver_names(value, seconds):
    replies = [httpx.Response(429, headers={"retry-after": value})]
    times = []

    async def receiver(_):
        times.append(asyncio.get_running_loop().time())
        return replies.pop() if replies else httpx.Response(200)

    async with Running(receiver) as running:
        running.add(1)
        await asyncio.sleep(1)
        running.add(5, 1)
        await running.delivery.drained()
    first, *later = times
    assert len(later) == 6
    assert seconds <= min(later) - first < seconds + 3


async def test_the_time_may_be_a_date():
    reply = httpx.Response(503, headers={"retry-after": format_datetime(datetime.now(UTC) + timedelta(minutes=5))})
    assert 290 < asked_to_wait(reply) <= 300


@pytest.mark.parametrize("status", [301, 400, 401, 404, 410, 413])
async def test_what_is_refused_for_good_is_counted_and_the_next_goes_on(status):
    receiver = Receiver(status, 200)
    async with Running(receiver) as running:
        running.add(1)
        await running.delivery.drained()
        running.add(1, 1)
        await running.delivery.drained()
    assert running.value("lost_total", reason="refused") == 1
    assert running.value("delivered_total") == 1


async def test_what_cannot_be_written_is_counted_and_the_next_goes_on():
    class Failing(Webhook):
        def headers(self, event, message):
            return super().headers(event, message) | {"webhook-id": "é"} if event.id == "resp_0" else {}

    receiver = Receiver(200)
    async with Running(receiver, sink=Failing("http://receiver/", SECRET, content=False)) as running:
        running.add(2)
        await running.delivery.drained()
    assert running.value("lost_total", reason="failed") == 1
    assert running.value("delivered_total") == 1


async def test_beyond_the_queue_the_newest_are_dropped_and_counted():
    receiver = Receiver(200)
    async with Running(receiver, limit=3) as running:
        running.add(5)
        assert running.value("queue_depth") == 3
        await running.delivery.drained()
    assert sorted(delivered(receiver)) == ["resp_0", "resp_1", "resp_2"]
    assert running.value("lost_total", reason="queue_full") == 2


async def test_a_slow_receiver_gets_only_so_many_requests_at_once():
    receiver, seen = Receiver(200), []
    async with Running(receiver) as running:
        running.add(50)
        while running.value("delivered_total") < 50:
            seen.append(receiver.at_once)
            await asyncio.sleep(0.005)
    assert max(seen) == AT_ONCE


async def test_what_is_left_when_the_service_stops_is_counted():
    receiver = Receiver(503)
    async with Running(receiver) as running:
        running.add(20)
        await asyncio.sleep(1)
        await last_chance(running.delivery, 5)
    assert running.value("lost_total", reason="stopped") == 20


async def test_scores_of_answers_and_of_post_score_reach_the_sinks(serve):
    receiver = Receiver(204)
    service = serve(webhook_url="http://receiver/hook", webhook_secret=SECRET)
    (delivery,) = service.backend.front.sinks.deliveries
    delivery._transport = httpx.MockTransport(receiver)
    answer = (await service.ask()).json()
    item = {"question": "Where?", "passages": [["T", "Here."]], "response": "It.", "id": "a-1", "trace_id": "ab" * 16}
    assert (await service.client.post("/score", json=item)).status_code == 200
    assert (await service.client.post("/score?record=true", json=item)).status_code == 200
    await service.score_all()
    service.backend.front.sinks.start()
    await delivery.drained()
    await service.backend.front.sinks.stop()
    messages = {row["id"]: row for row in (json.loads(request.content)["data"] for request in receiver.requests)}
    assert messages.keys() == {answer["id"], "a-1"}
    assert messages["a-1"]["trace_id"] == "ab" * 16
    assert service.metric("fg_sink_delivered_total", sink="webhook") == 2


@pytest.mark.parametrize(
    ("settings", "variable"),
    [
        ({"webhook_url": "http://x/"}, "FGCTL_WEBHOOK_SECRET"),
        ({"webhook_url": "http://x/", "webhook_secret": "secret"}, "whsec_"),
        ({"webhook_url": "http://x/", "webhook_secret": "whsec_AAAA"}, "24 random bytes"),
        ({"langfuse_url": "http://x/"}, "LANGFUSE_PUBLIC_KEY"),
    ],
)
async def test_incomplete_settings_stop_the_start_with_a_sentence(settings, variable, monkeypatch):
    monkeypatch.delenv("LANGFUSE_PUBLIC_KEY", raising=False)
    with pytest.raises(FgctlError, match=variable):
        create_app(Settings(**settings))
