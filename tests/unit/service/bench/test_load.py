"""The client against a small server with OpenAI's interface, over HTTP."""

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
from service.bench.load import (
    make_requests,
    percentiles,
    question_and_passages,
    run_closed_loop,
    run_open_loop,
    whole_prompt,
)

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
    """Streams as many pieces as a request asks for, at a fixed pace."""

    def __init__(self):
        self.bodies = []
        self.open = self.most_open = 0
        self.missing_tokens = 0
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
        self.bodies.append(body)
        if self.fail:
            return JSONResponse({"error": {"message": "no"}}, 503)
        return StreamingResponse(self.pieces(body["max_tokens"] - self.missing_tokens), media_type="text/event-stream")

    async def pieces(self, count):
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        await asyncio.sleep(FIRST)
        while self.most_open < self.together:
            await asyncio.sleep(PACE)
        for number in range(count):
            if number:
                await asyncio.sleep(PACE)
            yield f"data: {json.dumps({'choices': [{'text': 'a'}]})}\n\n"
        self.open -= 1
        yield f"data: {json.dumps({'choices': [], 'usage': {'completion_tokens': count}})}\n\n"
        yield "data: [DONE]\n\n"

    def stop(self):
        self.server.should_exit = True
        self.thread.join(10)


@pytest.fixture
def server():
    running = Server()
    yield running
    running.stop()


def send(server, count=6, body=whole_prompt, **options):
    requests = make_requests(EXAMPLES, ["short", "long"], Formatter(), count)
    return asyncio.run(
        run_closed_loop("The server", server.url, requests, body, **({"concurrency": 2, "tokens": 5} | options))
    )


def test_times_are_those_of_the_streams(server):
    times = send(server)
    assert len(times.first_token) == len(times.latency) == 6
    assert len(times.between_tokens) == 6 * 4
    # At least the server's pauses, but timers may wake a little early; a busy machine only makes times longer.
    waits = 0.9 * (FIRST + 4 * PACE)
    assert all(0.9 * FIRST <= first <= last for first, last in zip(times.first_token, times.latency, strict=True))
    assert all(last >= waits for last in times.latency)
    assert times.tokens == 30
    assert times.seconds >= 3 * waits
    assert times.tokens_per_second == pytest.approx(30 / times.seconds)
    assert times.requests_per_second == pytest.approx(6 / times.seconds)


def test_a_closed_loop_keeps_as_many_requests_open_as_its_concurrency(server):
    send(server, 9, concurrency=3)
    assert server.most_open == 3
    assert len(server.bodies) == 9


def test_streams_may_begin_one_after_another(server):
    times = send(server, 2, stagger=0.3)
    assert times.seconds > 0.3
    assert server.most_open == 1


def test_an_open_loop_sends_requests_at_its_rate_however_many_are_open(server):
    requests = make_requests(EXAMPLES, ["short"], Formatter(), 6)
    times = asyncio.run(run_open_loop("The server", server.url, requests, whole_prompt, rate=100, tokens=20))
    assert len(times.latency) == 6
    assert server.most_open == 6
    assert times.seconds >= 5 / 100 + FIRST + 19 * PACE
    server.fail = True
    with pytest.raises(FgctlError, match="The server failed"):
        asyncio.run(run_open_loop("The server", server.url, requests, whole_prompt, rate=100, tokens=20))


def test_both_servers_get_the_same_prompts_each_in_its_form(server):
    send(server, 2)
    send(server, 2, question_and_passages)
    theirs, ours = server.bodies[:2], server.bodies[2:]
    for body in server.bodies:
        assert (body["max_tokens"], body["temperature"], body["ignore_eos"], body["stream"]) == (5, 0, True, True)
    assert {body["model"] for body in theirs} == {body["model"] for body in ours} == {"short", "long"}
    assert "passages" not in theirs[0]
    by_profile = {body["model"]: body for body in ours}
    assert by_profile["short"]["prompt"] == "Where?"
    assert by_profile["short"]["passages"] == [{"title": "T (0)", "text": "Here."}]
    assert {body["prompt"] for body in theirs} == {"T (0): Here. Where?", "(1):  When?"}


@pytest.mark.parametrize(
    ("fault", "value", "message"),
    [("fail", True, "The server failed"), ("missing_tokens", 1, "4 tokens instead of 5")],
)
def test_a_failed_request_is_an_error_and_not_a_time(server, fault, value, message):
    setattr(server, fault, value)
    with pytest.raises(FgctlError, match=message):
        send(server)


def test_no_prompt_is_repeated_and_profiles_alternate():
    requests = make_requests(EXAMPLES, ["a", "b", "c"], Formatter(), 7)
    requests += make_requests(EXAMPLES, ["a"], Formatter(), 3, first=7)
    assert len({request.prompt.text for request in requests}) == 10
    assert [request.profile for request in requests[:4]] == ["a", "b", "c", "a"]
    assert EXAMPLES[0].passages[0].title == "T"
    with pytest.raises(FgctlError, match="--data"):
        make_requests([], ["a"], Formatter(), 1)


def test_percentiles_are_in_milliseconds():
    assert percentiles(value / 1000 for value in range(101)) == {"p50": 50, "p95": 95, "p99": 99}
