"""The client against a small server of OpenAI's interface, over HTTP."""

import asyncio
import json
import threading

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from policies.prompt import Prompt
from rewards.dataset import Example, Passage
from rewards.errors import FgctlError
from service.bench.load import arrive, drive, percentiles, question_and_passages, questions, whole_prompt
from tests.unit.service.jumping_clock import JumpingClock

pytest.importorskip("vllm")

FIRST, PACE = 0.05, 0.01
EXAMPLES = [
    Example(question="Where?", passages=(Passage(title="T", text="Here."),), answer=""),
    Example(question="When?", passages=(), answer=""),
]


class Formatter:
    def format(self, question, passages):
        text = " ".join(f"{p.title}: {p.text}" for p in passages) + " " + question
        return Prompt(text, tuple(range(len(text))), tuple(passages))


class Server:
    """Streams as many pieces as asked for, at a fixed pace."""

    def __init__(self):
        self.asked = []
        self.at_once = self.most_at_once = 0
        self.short = 0
        self.fail = False
        self.together = 1
        """No stream goes on until so many have been open at once."""
        app = Starlette(routes=[Route("/v1/completions", self.complete, methods=["POST"])])
        self.server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        while not self.server.started:
            assert self.thread.is_alive()
            self.thread.join(0.01)
        self.url = f"http://127.0.0.1:{self.server.servers[0].sockets[0].getsockname()[1]}"

    async def complete(self, request):
        body = await request.json()
        self.asked.append(body)
        if self.fail:
            return JSONResponse({"error": {"message": "no"}}, 503)
        return StreamingResponse(self.pieces(body["max_tokens"] - self.short), media_type="text/event-stream")

    async def pieces(self, count):
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(FIRST)
        while self.most_at_once < self.together:
            await asyncio.sleep(PACE)
        for number in range(count):
            if number:
                await asyncio.sleep(PACE)
            yield f"data: {json.dumps({'choices': [{'text': 'a'}]})}\n\n"
        self.at_once -= 1
        yield f"data: {json.dumps({'choices': [], 'usage': {'completion_tokens': count}})}\n\n"
        yield "data: [DONE]\n\n"

    def stop(self):
        self.server.should_exit = True
        self.thread.join(10)


@pytest.fixture
def server():
    started = Server()
    yield started
    started.stop()


def ask(server, count=6, body=whole_prompt, **options):
    asked = questions(EXAMPLES, ["short", "long"], Formatter(), count)
    given = {"concurrency": 2, "tokens": 5} | options
    return asyncio.run(drive("The server", server.url, asked, body, **given))


def test_times_are_those_of_the_streams(server):
    times = ask(server)
    assert len(times.first_token) == len(times.latency) == 6
    assert len(times.between_tokens) == 6 * 4
    # At least what the server waits, but for what its timers wake early; a busy machine only adds to it.
    waits = 0.9 * (FIRST + 4 * PACE)
    assert all(0.9 * FIRST <= first <= last for first, last in zip(times.first_token, times.latency, strict=True))
    assert all(last >= waits for last in times.latency)
    assert times.tokens == 30
    assert times.seconds >= 3 * waits
    assert times.tokens_per_second == pytest.approx(30 / times.seconds)
    assert times.requests_per_second == pytest.approx(6 / times.seconds)


def test_as_many_requests_are_open_as_asked_for(server):
    server.together = 3
    ask(server, 9, concurrency=3)
    assert server.most_at_once == 3
    assert len(server.asked) == 9


def test_streams_may_begin_one_after_another(monkeypatch):
    begun = []

    async def a_minute(*_):
        begun.append(asyncio.get_running_loop().time())
        await asyncio.sleep(60)

    monkeypatch.setattr("service.bench.load._Client.ask", a_minute)
    asked = questions(EXAMPLES, ["short"], Formatter(), 4)
    with asyncio.Runner(loop_factory=JumpingClock) as runner:
        runner.run(drive("The server", "", asked, whole_prompt, concurrency=2, tokens=5, stagger=0.3))
    assert begun == pytest.approx([0, 0.3, 60, 60.3])


def test_requests_arrive_at_their_rate_however_many_are_open(server):
    asked = questions(EXAMPLES, ["short"], Formatter(), 6)
    server.together = 6
    times = asyncio.run(arrive("The server", server.url, asked, whole_prompt, rate=100, tokens=20))
    assert len(times.latency) == 6
    assert server.most_at_once == 6
    assert times.seconds >= 5 / 100 + FIRST + 19 * PACE
    server.fail = True
    with pytest.raises(FgctlError, match="The server failed"):
        asyncio.run(arrive("The server", server.url, asked, whole_prompt, rate=100, tokens=20))


def test_both_servers_are_asked_the_same_in_their_own_ways(server):
    ask(server, 2)
    ask(server, 2, question_and_passages)
    theirs, ours = server.asked[:2], server.asked[2:]
    for body in server.asked:
        assert (body["max_tokens"], body["temperature"], body["ignore_eos"], body["stream"]) == (5, 0, True, True)
    assert {body["model"] for body in theirs} == {body["model"] for body in ours} == {"short", "long"}
    assert "passages" not in theirs[0]
    of = {body["model"]: body for body in ours}
    assert of["short"]["prompt"] == "Where?"
    assert of["short"]["passages"] == [{"title": "T (0)", "text": "Here."}]
    assert {body["prompt"] for body in theirs} == {"T (0): Here. Where?", "(1):  When?"}


@pytest.mark.parametrize(("what", "said"), [({"fail": True}, "The server failed"), ({"short": 1}, "4 tokens instead")])
def test_a_request_that_fails_is_an_error_and_not_a_figure(server, what, said):
    for name, value in what.items():
        setattr(server, name, value)
    with pytest.raises(FgctlError, match=said):
        ask(server)


def test_no_prompt_comes_twice_and_profiles_alternate():
    asked = questions(EXAMPLES, ["a", "b", "c"], Formatter(), 7) + questions(EXAMPLES, ["a"], Formatter(), 3, first=7)
    assert len({one.prompt.text for one in asked}) == 10
    assert [one.profile for one in asked[:4]] == ["a", "b", "c", "a"]
    assert EXAMPLES[0].passages[0].title == "T"
    with pytest.raises(FgctlError, match="--data"):
        questions([], ["a"], Formatter(), 1)


def test_percentiles_are_in_milliseconds():
    assert percentiles(value / 1000 for value in range(101)) == {"p50": 50, "p95": 95, "p99": 99}
