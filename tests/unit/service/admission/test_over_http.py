"""Admission over HTTP: what clients see of limits, queues and time-outs, and that no place is ever lost."""

import asyncio
import json
from collections import Counter

import httpx
import pytest

from service.domain.request import Task
from service.domain.selection import Selection
from service.engine.engine import Piece
from service.errors import TimedOut
from tests.unit.service import jumping_clock

pytestmark = pytest.mark.anyio
QUESTION = {"question": "Where?"}
MEDIUM = {"profile": "medium", "policy": "000000000002"}


@pytest.fixture
def anyio_backend():
    return jumping_clock.BACKEND


class PacedEngine:
    """Decodes one piece a step in each of its sequences, as an engine of fixed speed does."""

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


def paced(serve, step=0.001, pieces=4, **settings):
    service = serve(**({"max_num_seqs": 4} | settings))
    service.backend.generation._engine = PacedEngine(step, pieces)
    service.paced = service.backend.generation._engine
    return service


def nothing_is_held(service):
    door = service.backend.admission
    return (door._free, door._queue.requests, door._held) == (door.places, 0, 0) and not door._queue._waiting


class Client:
    """A request by ASGI, so that the client can vanish at any moment."""

    def __init__(self, service, body, fails=False):
        self.gone, self.status, self.body = asyncio.Event(), None, b""
        sent = [{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}]

        async def receive():
            if sent:
                return sent.pop()
            await self.gone.wait()
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

    async def leave(self):
        self.gone.set()
        await asyncio.wait_for(self.task, 30)


async def until(condition):
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_full_queue_is_refused_before_a_stream_begins(serve, stream):
    service = paced(serve, step=0.05, max_num_seqs=1, waiting_requests=1)
    held = [asyncio.create_task(service.ask(QUESTION)) for _ in range(3)]
    await until(lambda: service.backend.admission._held == 3)
    reply = await service.ask(QUESTION | {"stream": stream})
    assert (reply.status_code, reply.json()["error"]["type"]) == (503, "overloaded")
    assert int(reply.headers["retry-after"]) >= 1
    assert [r.status_code for r in await asyncio.gather(*held)] == [200] * 3
    assert service.metric("fg_requests_total", **MEDIUM, outcome="overloaded") == 1
    assert service.metric("fg_refusals_total", profile="medium", reason="waiting_requests") == 1
    assert nothing_is_held(service)


@pytest.mark.parametrize("stream", [False, True])
async def test_waiting_too_long_is_503_in_both_forms(serve, stream):
    service = paced(serve, step=0.1, max_num_seqs=1, queue_timeout=0.02)
    held = [asyncio.create_task(service.ask(QUESTION)) for _ in range(2)]
    await until(lambda: service.backend.admission._held == 2)
    reply = await service.ask(QUESTION | {"stream": stream})
    assert (reply.status_code, reply.json()["error"]["type"]) == (503, "overloaded")
    assert service.metric("fg_refusals_total", profile="medium", reason="queue_timeout") == 1
    await asyncio.gather(*held)
    assert nothing_is_held(service)


async def test_taking_too_long_is_503_and_an_error_event_in_a_stream_and_ends_the_generation(serve):
    service = paced(serve, step=0.02, pieces=1000, request_timeout=0.05)
    reply = await service.ask(QUESTION)
    assert (reply.status_code, reply.json()["error"]["type"]) == (503, "timeout")
    assert "fewer tokens" in reply.json()["error"]["message"]
    reply = await service.ask(QUESTION | {"stream": True})
    assert reply.status_code == 200
    assert "event: token" in reply.text
    assert json.loads(reply.text.strip().split("data: ")[-1])["error"]["type"] == "timeout"
    assert service.metric("fg_requests_total", **MEDIUM, outcome="timeout") == 2
    assert service.paced.running == 0
    assert nothing_is_held(service)


async def test_a_reader_that_stops_reading_keeps_its_place_no_longer_than_a_request_may_take(serve):
    service = paced(serve, pieces=1000, request_timeout=0.05)
    generation = service.backend.generation
    prepared = await generation.prepare(Task(Selection("medium"), "Where?"))
    pieces = generation.stream(prepared)
    await anext(pieces)
    await until(lambda: nothing_is_held(service) and service.paced.running == 0)
    assert service.metric("fg_requests_total", **MEDIUM, outcome="timeout") == 1
    with pytest.raises(TimedOut):
        await anext(pieces)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_while_it_waits_frees_its_place_at_once(serve, stream):
    service = paced(serve, step=0.05, max_num_seqs=1)
    held = [asyncio.create_task(service.ask(QUESTION)) for _ in range(2)]
    await until(lambda: service.backend.admission._held == 2)
    client = Client(service, QUESTION | {"stream": stream})
    await until(lambda: service.metric("fg_waiting_requests") == 1)
    await client.leave()
    assert service.metric("fg_waiting_requests") == 0
    assert service.metric("fg_requests_total", **MEDIUM, outcome="cancelled") == 1
    await asyncio.gather(*held)
    assert service.paced.answered == {"medium": 2}
    assert nothing_is_held(service)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_while_it_is_answered_frees_its_place_at_once(serve, stream):
    service = paced(serve, pieces=10_000)
    client = Client(service, QUESTION | {"stream": stream})
    await until(lambda: service.paced.running == 1)
    await client.leave()
    await until(lambda: service.paced.running == 0)
    assert service.metric("fg_requests_total", **MEDIUM, outcome="cancelled") == 1
    assert nothing_is_held(service)


async def test_a_client_that_is_gone_before_the_stream_is_read_loses_nothing(serve):
    service = paced(serve)
    client = Client(service, QUESTION | {"stream": True}, fails=True)
    with pytest.raises(OSError, match="gone"):
        await asyncio.wait_for(client.task, 30)
    assert service.paced.answered == {}
    assert service.metric("fg_requests_total", **MEDIUM, outcome="cancelled") == 1
    assert nothing_is_held(service)


async def test_vanishing_at_any_moment_leaks_nothing(serve):
    """Clients leave after 0, 1, 2, … turns of the event loop, which meets waiting, the grant itself, and streaming."""
    service = paced(serve, step=0, pieces=6, max_num_seqs=1)
    for turns in range(60):
        clients = [Client(service, QUESTION | {"stream": bool(i % 2)}) for i in range(4)]
        for _ in range(turns):
            await asyncio.sleep(0)
        await asyncio.gather(*(client.leave() for client in clients[1:]))
        await asyncio.wait_for(clients[0].task, 30)
        await until(lambda: service.paced.running == 0)
        assert nothing_is_held(service), turns
    ended = {o: service.metric("fg_requests_total", **MEDIUM, outcome=o) for o in ("ok", "cancelled", "error")}
    assert ended["ok"] >= 60
    assert ended["cancelled"] > 0
    assert ended["error"] == 0


async def test_callers_over_their_limits_get_429_and_when_to_come_back(serve):
    service = paced(serve, caller_requests_per_minute=2)
    assert [(await service.ask(QUESTION)).status_code for _ in range(2)] == [200, 200]
    reply = await service.ask(QUESTION)
    assert (reply.status_code, reply.json()["error"]["type"]) == (429, "rate_limited")
    assert 25 <= int(reply.headers["retry-after"]) <= 30
    assert service.metric("fg_requests_total", **MEDIUM, outcome="limited") == 1


async def test_tokens_are_counted_as_used_not_as_asked_for(serve):
    service = paced(serve, caller_tokens_per_minute=100)
    for _ in range(3):  # 3 + 64 tokens asked for, 3 + 4 used
        assert (await service.ask(QUESTION | {"max_tokens": 64})).status_code == 200


async def test_a_policy_is_in_use_while_a_request_waits_for_it(serve):
    service = paced(serve, step=0.02, max_num_seqs=1)
    asked = [asyncio.create_task(service.ask(QUESTION)) for _ in range(3)]
    await until(lambda: service.metric("fg_waiting_requests") == 1)
    in_use = service.backend.generation._catalogue._in_use
    assert in_use._requests == {2: 3}
    await asyncio.gather(*asked)
    assert in_use._requests == {}


async def test_a_stopping_service_admits_nobody_and_answers_who_waits(serve):
    service = paced(serve, step=0.01, max_num_seqs=1)
    asked = [asyncio.create_task(service.ask(QUESTION)) for _ in range(5)]
    await until(lambda: service.backend.admission._held == 5)
    service.backend.admission.stop()
    assert (await service.ask(QUESTION)).status_code == 503
    await asyncio.wait_for(service.backend.admission.emptied(), 30)
    assert [reply.status_code for reply in await asyncio.gather(*asked)] == [200] * 5


async def test_500_clients_at_small_limits_are_all_answered_or_told_why_and_shares_are_fair(serve):
    """400 ask `long`, and only then 100 ask `short`; the queue holds 240."""
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
    await until(lambda: service.backend.admission._held == 200)
    rest = [asyncio.create_task(ask(i, "short")) for i in range(100)]
    rest += [asyncio.create_task(ask(i, "long")) for i in range(200)]
    replies = await asyncio.gather(*first, *rest)

    answered = Counter(profile for profile, reply in replies if reply.status_code == 200)
    refused = Counter(reply.json()["error"]["type"] for _, reply in replies if reply.status_code != 200)
    for _, reply in replies:
        assert reply.status_code == 200 or (reply.status_code == 503 and int(reply.headers["retry-after"]) >= 1)
    assert answered.total() + refused["overloaded"] == 500, "sent = answered + refused with a reason; none is lost"
    assert refused.keys() == {"overloaded"}
    assert service.paced.answered == answered
    assert service.paced.most <= service.backend.admission.places
    counted = sum(service.metric("fg_refusals_total", profile=p, reason="waiting_requests") for p in ("long", "short"))
    assert counted == refused["overloaded"]
    # From when `short` began to wait the two took turns, although 182 of `long` were there before.
    begun = service.paced.begun
    turns = Counter(begun[begun.index("short") :][: 2 * 40])
    assert answered["short"] >= 40
    assert abs(turns["short"] - turns["long"]) <= 4
    assert nothing_is_held(service)
