"""Admission over HTTP: what clients see of limits, queues and time-outs, and that no place leaks."""

import asyncio
import json
from collections import Counter

import httpx
import pytest

from service.domain.request import AnswerRequest
from service.domain.selection import Selection
from service.engine.engine import Piece
from service.errors import RequestTimedOut
from tests.unit.service import jumping_clock

pytestmark = pytest.mark.anyio
QUESTION = {"question": "Where?"}
MEDIUM = {"profile": "medium", "policy": "000000000002"}


@pytest.fixture
def anyio_backend():
    return jumping_clock.BACKEND


class PacedEngine:
    """Decodes one piece per step in each of its sequences."""

    def __init__(self, step=0.001, pieces=4):
        self.alive, self.step, self.pieces = True, step, pieces
        self.running = self.most = 0
        self.begun = []
        self.answered = Counter()

    async def generate(self, prompt, params, policy, request_id):
        self.begun.append(policy.profile)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            for i in range(self.pieces):
                await asyncio.sleep(self.step)
                yield Piece("x", 1, "stop" if i == self.pieces - 1 else None)
            self.answered[policy.profile] += 1
        finally:
            self.running -= 1

    async def unload(self, policy):
        pass

    async def abort_all(self):
        pass


def paced(serve, step=0.001, pieces=4, **settings):
    return serve(engine=PacedEngine(step, pieces), **({"max_num_seqs": 4} | settings))


def nothing_leaked(service):
    admission = service.backend.admission
    queue = admission._queue
    return (admission._free, queue.requests, admission._in_service) == (admission.places, 0, 0) and not queue._waiting


class Client:
    """A request by ASGI, whose client can disconnect at any moment."""

    def __init__(self, service, body, fails=False):
        self.disconnected, self.status, self.body = asyncio.Event(), None, b""
        messages = [{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}]

        async def receive():
            if messages:
                return messages.pop()
            await self.disconnected.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            if fails:
                raise OSError("the connection is gone")
            self.status = message.get("status", self.status)
            self.body += message.get("body", b"")

        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "path": "/generate",
            "raw_path": b"/generate", "query_string": b"", "headers": [(b"content-type", b"application/json")],
            "client": ("203.0.113.7", 1),
        }  # fmt: skip
        self.task = asyncio.create_task(service.app(scope, receive, send))

    async def disconnect(self):
        self.disconnected.set()
        await asyncio.wait_for(self.task, 30)


async def until(condition):
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_request_is_refused_by_a_full_queue_before_its_stream_begins(serve, stream):
    service = paced(serve, step=0.05, max_num_seqs=1, waiting_requests=1)
    others = [asyncio.create_task(service.ask(QUESTION)) for _ in range(3)]
    await until(lambda: service.backend.admission._in_service == 3)
    reply = await service.ask(QUESTION | {"stream": stream})
    assert (reply.status_code, reply.json()["error"]["type"]) == (503, "overloaded")
    assert int(reply.headers["retry-after"]) >= 1
    assert [r.status_code for r in await asyncio.gather(*others)] == [200] * 3
    assert service.metric("fg_requests_total", **MEDIUM, outcome="overloaded") == 1
    assert service.metric("fg_refusals_total", profile="medium", reason="waiting_requests") == 1
    assert nothing_leaked(service)


@pytest.mark.parametrize("stream", [False, True])
async def test_waiting_too_long_is_answered_by_503_streamed_or_not(serve, stream):
    service = paced(serve, step=0.1, max_num_seqs=1, queue_timeout=0.02)
    others = [asyncio.create_task(service.ask(QUESTION)) for _ in range(2)]
    await until(lambda: service.backend.admission._in_service == 2)
    reply = await service.ask(QUESTION | {"stream": stream})
    assert (reply.status_code, reply.json()["error"]["type"]) == (503, "overloaded")
    assert service.metric("fg_refusals_total", profile="medium", reason="queue_timeout") == 1
    await asyncio.gather(*others)
    assert nothing_leaked(service)


async def test_a_request_over_its_time_ends_with_503_or_an_error_event_and_is_aborted(serve):
    service = paced(serve, step=0.02, pieces=1000, request_timeout=0.05)
    reply = await service.ask(QUESTION)
    assert (reply.status_code, reply.json()["error"]["type"]) == (503, "timeout")
    assert "fewer tokens" in reply.json()["error"]["message"]
    reply = await service.ask(QUESTION | {"stream": True})
    assert reply.status_code == 200
    assert "event: token" in reply.text
    assert json.loads(reply.text.strip().split("data: ")[-1])["error"]["type"] == "timeout"
    assert service.metric("fg_requests_total", **MEDIUM, outcome="timeout") == 2
    assert service.engine.running == 0
    assert nothing_leaked(service)


async def test_a_client_that_stops_reading_keeps_its_place_no_longer_than_a_request_may_take(serve):
    service = paced(serve, pieces=1000, request_timeout=0.05)
    pipeline = service.backend.pipeline
    prepared = await pipeline.prepare(AnswerRequest(Selection("medium"), "Where?"))
    pieces = pipeline.stream(prepared)
    await anext(pieces)
    await until(lambda: nothing_leaked(service) and service.engine.running == 0)
    assert service.metric("fg_requests_total", **MEDIUM, outcome="timeout") == 1
    with pytest.raises(RequestTimedOut):
        await anext(pieces)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_disconnects_while_it_waits_frees_its_place_at_once(serve, stream):
    service = paced(serve, step=0.05, max_num_seqs=1)
    others = [asyncio.create_task(service.ask(QUESTION)) for _ in range(2)]
    await until(lambda: service.backend.admission._in_service == 2)
    client = Client(service, QUESTION | {"stream": stream})
    await until(lambda: service.metric("fg_waiting_requests") == 1)
    await client.disconnect()
    assert service.metric("fg_waiting_requests") == 0
    assert service.metric("fg_requests_total", **MEDIUM, outcome="cancelled") == 1
    await asyncio.gather(*others)
    assert service.engine.answered == {"medium": 2}
    assert nothing_leaked(service)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_disconnects_while_it_is_answered_frees_its_place_at_once(serve, stream):
    service = paced(serve, pieces=10_000)
    client = Client(service, QUESTION | {"stream": stream})
    await until(lambda: service.engine.running == 1)
    await client.disconnect()
    await until(lambda: service.engine.running == 0)
    assert service.metric("fg_requests_total", **MEDIUM, outcome="cancelled") == 1
    assert nothing_leaked(service)


async def test_a_client_that_disconnects_before_the_stream_begins_leaks_nothing(serve):
    service = paced(serve)
    client = Client(service, QUESTION | {"stream": True}, fails=True)
    with pytest.raises(OSError, match="gone"):
        await asyncio.wait_for(client.task, 30)
    assert service.engine.answered == {}
    assert service.metric("fg_requests_total", **MEDIUM, outcome="cancelled") == 1
    assert nothing_leaked(service)


async def test_disconnecting_at_any_moment_leaks_nothing(serve):
    """Clients disconnect after 0, 1, 2, … turns of the event loop: while waiting, granted and streaming."""
    service = paced(serve, step=0, pieces=6, max_num_seqs=1)
    for turns in range(60):
        clients = [Client(service, QUESTION | {"stream": bool(i % 2)}) for i in range(4)]
        for _ in range(turns):
            await asyncio.sleep(0)
        await asyncio.gather(*(client.disconnect() for client in clients[1:]))
        await asyncio.wait_for(clients[0].task, 30)
        await until(lambda: service.engine.running == 0)
        assert nothing_leaked(service), turns
    ended = {o: service.metric("fg_requests_total", **MEDIUM, outcome=o) for o in ("ok", "cancelled", "error")}
    assert ended["ok"] >= 60
    assert ended["cancelled"] > 0
    assert ended["error"] == 0


async def test_callers_over_their_limits_get_429_and_when_to_try_again(serve):
    service = paced(serve, caller_requests_per_minute=2)
    assert [(await service.ask(QUESTION)).status_code for _ in range(2)] == [200, 200]
    reply = await service.ask(QUESTION)
    assert (reply.status_code, reply.json()["error"]["type"]) == (429, "rate_limited")
    assert 25 <= int(reply.headers["retry-after"]) <= 30
    assert service.metric("fg_requests_total", **MEDIUM, outcome="limited") == 1


async def test_a_request_of_several_prompts_is_one_request_to_its_callers_limits(serve):
    service = paced(serve, caller_concurrency=1, caller_requests_per_minute=2)
    for _ in range(2):
        reply = await service.client.post("/v1/completions", json={"prompt": ["a", "b", "c"]})
        assert (reply.status_code, len(reply.json()["choices"])) == (200, 3)
    assert (await service.ask(QUESTION)).status_code == 429
    assert nothing_leaked(service)


async def test_a_request_whose_last_prompt_is_wrong_costs_nothing(serve):
    service = paced(serve, caller_requests_per_minute=1)
    for prompts in (["a", "b", "why " * 30], ["a", " "]):
        reply = await service.client.post("/v1/completions", json={"prompt": prompts})
        assert (reply.status_code, reply.json()["error"]["param"]) == (400, "prompt")
    assert service.engine.begun == []
    assert nothing_leaked(service)
    assert (await service.ask(QUESTION)).status_code == 200


async def test_more_prompts_than_there_are_places_to_run_and_wait_are_a_bad_request(serve):
    service = paced(serve, max_num_seqs=1, waiting_requests=0)
    reply = await service.client.post("/v1/completions", json={"prompt": ["a", "b", "c"]})
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "prompt")
    assert "send fewer at once" in reply.json()["error"]["message"]
    assert (await service.client.post("/v1/completions", json={"prompt": ["a", "b"]})).status_code == 200


async def test_tokens_are_counted_as_used_not_as_reserved(serve):
    service = paced(serve, caller_tokens_per_minute=100)
    for _ in range(3):  # 3 + 64 tokens reserved, 3 + 4 used
        assert (await service.ask(QUESTION | {"max_tokens": 64})).status_code == 200


async def test_a_policy_is_in_use_while_a_request_waits_for_it(serve):
    service = paced(serve, step=0.02, max_num_seqs=1)
    replies = [asyncio.create_task(service.ask(QUESTION)) for _ in range(3)]
    await until(lambda: service.metric("fg_waiting_requests") == 1)
    in_use = service.resolver.in_use
    assert in_use._requests == {2: 3}
    await asyncio.gather(*replies)
    assert in_use._requests == {}


async def test_a_stopping_service_refuses_new_requests_and_answers_waiting_ones(serve):
    service = paced(serve, step=0.01, max_num_seqs=1)
    replies = [asyncio.create_task(service.ask(QUESTION)) for _ in range(5)]
    await until(lambda: service.backend.admission._in_service == 5)
    service.backend.admission.stop()
    assert (await service.ask(QUESTION)).status_code == 503
    await asyncio.wait_for(service.backend.admission.emptied(), 30)
    assert [reply.status_code for reply in await asyncio.gather(*replies)] == [200] * 5


async def test_500_clients_at_small_limits_are_all_answered_or_refused_and_shares_are_fair(serve):
    """200 ask `long`, then 100 ask `short` and 200 more `long`; the queue holds 240."""
    service = paced(serve, step=0.002, pieces=5, max_num_seqs=16, waiting_requests=240, recent_responses=1000)
    transport = httpx.ASGITransport(service.app)

    async def ask(number, profile):
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            body = QUESTION | {"stream": number % 2 == 0, "max_tokens": 16}
            reply = await client.post(f"/generate?profile={profile}", json=body)
        if reply.status_code == 200:
            assert number % 2 or "event: done" in reply.text
        return profile, reply

    first = [asyncio.create_task(ask(i, "long")) for i in range(200)]
    await until(lambda: service.backend.admission._in_service == 200)
    rest = [asyncio.create_task(ask(i, "short")) for i in range(100)]
    rest += [asyncio.create_task(ask(i, "long")) for i in range(200)]
    replies = await asyncio.gather(*first, *rest)

    answered = Counter(profile for profile, reply in replies if reply.status_code == 200)
    refused = Counter(reply.json()["error"]["type"] for _, reply in replies if reply.status_code != 200)
    for _, reply in replies:
        assert reply.status_code == 200 or (reply.status_code == 503 and int(reply.headers["retry-after"]) >= 1)
    assert answered.total() + refused["overloaded"] == 500, "sent = answered + refused; no request is lost"
    assert refused.keys() == {"overloaded"}
    assert service.engine.answered == answered
    assert service.engine.most <= service.backend.admission.places
    counted = sum(service.metric("fg_refusals_total", profile=p, reason="waiting_requests") for p in ("long", "short"))
    assert counted == refused["overloaded"]
    # Once `short` waited, the two took turns, although 182 requests for `long` were waiting already.
    begun = service.engine.begun
    turns = Counter(begun[begun.index("short") :][: 2 * 40])
    assert answered["short"] >= 40
    assert abs(turns["short"] - turns["long"]) <= 4
    assert nothing_leaked(service)
