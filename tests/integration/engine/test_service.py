"""The service over HTTP, with the real engine, the real reward models and their process."""

import asyncio
import json
import time

import httpx
import pytest

QUESTION = {
    "question": "How tall is the Aldermouth Lighthouse?",
    "passages": [{"title": "Aldermouth Lighthouse", "text": "The tower is 31 metres tall and has 164 steps."}],
    "max_tokens": 24,
    "seed": 3,
}


@pytest.fixture(scope="module")
def client(app, loop):
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test", timeout=500)

    def send(method, url, **arguments):
        return loop.run(client.request(method, url, **arguments))

    return send


def test_broken_policies_keep_the_service_from_being_ready_and_nothing_else(client):
    reply = client("GET", "/readyz")
    assert reply.status_code == 503
    assert set(reply.json()["broken"]) == {"damaged", "idle"}
    assert "restore it" in reply.json()["broken"]["damaged"]
    assert "just like the base" in reply.json()["broken"]["idle"]
    assert client("GET", "/livez").status_code == 200
    assert [entry["profile"] for entry in client("GET", "/profiles").json()["profiles"]] == ["first", "second"]
    assert client("POST", "/generate?profile=damaged", json=QUESTION).status_code == 503


def test_each_profile_answers_from_its_own_adapter_and_is_scored(client):
    replies = {name: client("POST", f"/generate?profile={name}", json=QUESTION).json() for name in ("first", "second")}
    assert replies["first"]["text"] != replies["second"]["text"]
    assert replies["first"]["policy"]["version"] != replies["second"]["policy"]["version"]
    for name, reply in replies.items():
        assert reply["profile"] == name
        assert 0 < reply["usage"]["completion_tokens"] <= 24
        scores = wait_for_scores(client, reply["id"])
        assert set(scores) == {"relevance", "factuality", "completeness", "toxicity"}
        for judged in scores.values():
            assert all(0 <= s["start"] < s["end"] <= len(reply["text"]) for s in judged["segments"])
    exposed = client("GET", "/metrics").text
    for name, reply in replies.items():
        labels = f'category="factuality",policy="{reply["policy"]["version"]}",profile="{name}"'
        line = next(line for line in exposed.splitlines() if line.startswith(f"fg_segments_scored_total{{{labels}}}"))
        assert float(line.split()[-1]) >= 1


def wait_for_scores(client, response_id):
    for _ in range(1200):
        scores = client("GET", f"/responses/{response_id}").json()["scores"]
        if scores is not None:
            return scores
        time.sleep(0.1)
    raise AssertionError("the response was not scored within 30 s")


def test_the_same_seed_gives_the_same_answer_streamed_or_not(client):
    whole = client("POST", "/generate?profile=first", json=QUESTION).json()
    streamed = client("POST", "/generate?profile=first", json=QUESTION | {"stream": True}).text
    events = [block.split("\r\n") for block in streamed.strip().split("\r\n\r\n")]
    tokens = [json.loads(e[1].removeprefix("data: "))["text"] for e in events if e[0] == "event: token"]
    assert "".join(tokens) == whole["text"]
    assert len(tokens) > 1


def test_passages_beyond_the_budget_are_cut_and_seeded_requests_of_any_length_work(client):
    text = "The tower is 31 metres tall and has 164 steps. " * 400
    bodies = [QUESTION | {"passages": [{"title": "T", "text": text}], "seed": i, "max_tokens": 4} for i in range(3)]
    for body in bodies:
        reply = client("POST", "/generate?profile=second", json=body).json()
        assert reply["passages_cut"]
        assert reply["usage"]["prompt_tokens"] <= 1024


@pytest.mark.parametrize(
    ("url", "body", "status"),
    [
        ("/generate?profile=none", QUESTION, 404),
        ("/generate?weights=1,2", QUESTION, 422),
        ("/generate?profile=first&weights=1,1,2", QUESTION, 400),
        ("/generate?profile=first", QUESTION | {"question": ""}, 422),
        ("/generate?profile=first", QUESTION | {"question": "why " * 5000}, 422),
        ("/generate?profile=first", QUESTION | {"passages": [{"text": "a" * (1 << 20)}]}, 413),
    ],
)
def test_bad_input(client, url, body, status):
    reply = client("POST", url, json=body)
    assert reply.status_code == status
    assert reply.json()["error"]["message"]


def test_weights_of_a_profile_are_that_profile(client):
    assert client("POST", "/generate?weights=1,1,2", json=QUESTION).json()["profile"] == "first"


def test_prompts_and_conversations_are_answered_and_not_scored(client):
    for body in ({"prompt": "One, two,"}, {"messages": [{"role": "user", "content": "Hello"}]}):
        reply = client("POST", "/generate?profile=first", json=body | {"max_tokens": 4})
        assert reply.status_code == 200
        assert client("GET", f"/responses/{reply.json()['id']}").json()["scores"] is None


def test_a_killed_scoring_process_is_replaced_and_costs_no_reply(client, app, loop):
    import os
    import signal

    worker = app.state.backend.core.worker
    (pid,) = worker._pool._processes
    os.kill(pid, signal.SIGKILL)
    for _ in range(20):
        reply = client("POST", "/generate?profile=first", json=QUESTION)
        assert reply.status_code == 200
        time.sleep(0.3)
        if client("GET", f"/responses/{reply.json()['id']}").json()["scores"] is not None:
            break
    else:
        wait_for_scores(client, reply.json()["id"])


def test_many_requests_at_once_each_get_their_own_profile(app, loop):
    async def burst():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test", timeout=500) as client:
            names = ["first", "second"] * 6
            sent = [client.post(f"/generate?profile={name}", json=QUESTION) for name in names]
            return names, await asyncio.gather(*sent)

    names, replies = loop.run(burst())
    assert [reply.json()["profile"] for reply in replies] == names
    texts = {name: {reply.json()["text"] for reply in replies if reply.json()["profile"] == name} for name in names}
    assert texts["first"].isdisjoint(texts["second"])
