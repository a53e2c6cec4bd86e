import asyncio
import gzip
import json

import pytest

pytestmark = pytest.mark.anyio
JSON = {"content-type": "application/json"}


async def test_an_answer_has_the_shape_of_the_contract(service):
    reply = await service.ask(profile="long")
    body = reply.json()
    assert reply.status_code == 200
    assert body.pop("id").startswith("resp_")
    assert body == {
        "profile": "long",
        "policy": {"name": "long", "version": "000000000003"},
        "weights": {"relevance": 0.2, "factuality": 0.5, "completeness": 0.3},
        "weights_served": {"relevance": 0.2, "factuality": 0.5, "completeness": 0.3},
        "text": "The answer of long.",
        "finish_reason": "stop",
        "usage": {"prompt_tokens": 3, "completion_tokens": 4},
        "passages_cut": False,
    }
    assert reply.headers["x-request-id"]


async def test_each_profile_is_answered_by_its_own_policy_and_medium_is_the_default(service):
    for query, profile in (({}, "medium"), ({"profile": "short"}, "short"), ({"weights": "0.2,0.5,0.3"}, "long")):
        assert (await service.ask(**query)).json()["profile"] == profile
        assert service.engine.asked[-1][2].profile == profile


@pytest.mark.parametrize(
    "named",
    [
        {"profile": "long"},
        {"weights": "0.2,0.5,0.3"},
        {"weights": {"relevance": 0.2, "factuality": 0.5, "completeness": 0.3}},
        {"weights": {"relevance": 2, "factuality": 5, "completeness": 3}},
    ],
)
async def test_the_body_may_name_the_profile_or_the_weights(service, named):
    reply = await service.ask({"question": "Where?"} | named)
    assert reply.json()["profile"] == "long"


async def test_query_and_body_may_say_the_same(service):
    assert (await service.ask({"question": "Where?", "profile": "long"}, profile="long")).json()["profile"] == "long"


async def test_defaults_come_from_the_profile_and_the_request_overrides_them(service):
    await service.ask({"question": "Where?", "temperature": 0, "seed": 7, "stop": "."})
    params = service.engine.asked[-1][1]
    assert (params.temperature, params.seed, params.stop, params.max_tokens) == (0, 7, ["."], 200)


async def test_a_stream_is_tokens_and_then_the_answer_without_its_text(service):
    reply = await service.ask({"question": "Where?", "stream": True}, profile="short")
    events = [
        (block.split("\r\n")[0], json.loads(block.split("\r\n")[1].removeprefix("data: ")))
        for block in reply.text.strip().split("\r\n\r\n")
    ]
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert [name for name, _ in events] == ["event: token"] * 4 + ["event: done"]
    assert "".join(data["text"] for _, data in events[:-1]) == "The answer of short."
    done = events[-1][1]
    assert "text" not in done
    assert (done["profile"], done["finish_reason"], done["usage"]["completion_tokens"]) == ("short", "stop", 4)


async def test_scores_can_be_fetched_once_there(service):
    response_id = (await service.ask()).json()["id"]
    fetched = (await service.client.get(f"/responses/{response_id}")).json()
    assert fetched["scores"] is None
    await service.score_all()
    fetched = (await service.client.get(f"/responses/{response_id}")).json()
    assert fetched["text"] == "The answer of medium."
    assert fetched["scores"]["factuality"]["segments"] == [
        {"start": 0, "end": 21, "error_probability": 0.75, "error": True}
    ]
    assert fetched["scores"]["completeness"]["score"] == 0.25


async def test_only_the_latest_responses_are_kept(service):
    ids = [(await service.ask({"question": "Where?"})).json()["id"] for _ in range(4)]
    assert (await service.client.get(f"/responses/{ids[0]}")).status_code == 404
    assert (await service.client.get(f"/responses/{ids[-1]}")).status_code == 200


QUESTION = {"question": "Where?"}


@pytest.mark.parametrize(
    ("body", "query", "status", "param", "message"),
    [
        (QUESTION, {"profile": "huge"}, 404, "profile", "short, medium, long"),
        (QUESTION, {"profile": ""}, 404, "profile", "short, medium, long"),
        (QUESTION, {"profile": "long", "weights": "1,1,1"}, 400, "weights", "not both"),
        (QUESTION, {"weights": "1,2"}, 422, "weights", "three numbers"),
        (QUESTION, {"weights": "0.9,0.05,0.05"}, 404, "weights", "no trained policy to mix"),
        ({"question": "  "}, {}, 422, "question", "question is empty"),
        ({"question": "why " * 30}, {}, 422, "question", "shorten"),
        ({}, {}, 422, "body", "exactly one"),
        ({"question": "a", "prompt": "b"}, {}, 422, "body", "exactly one"),
        ({"messages": []}, {}, 422, "messages", "messages is empty"),
        ({"prompt": "a", "passages": [{"text": "b"}]}, {}, 422, "passages", "go with a question"),
        (QUESTION | {"passages": [{"title": "t"}]}, {}, 422, "passages.0.text", "fix it and send it again"),
        (QUESTION | {"max_tokens": 65}, {}, 422, "max_tokens", "at most 64"),
        (QUESTION | {"max_tokens": 0}, {}, 422, "max_tokens", "fix it and send it again"),
        (QUESTION | {"temperature": 3}, {}, 422, "temperature", "fix it and send it again"),
        (QUESTION | {"top_p": 0}, {}, 422, "top_p", "fix it and send it again"),
        (QUESTION | {"seed": "x"}, {}, 422, "seed", "fix it and send it again"),
        (QUESTION | {"stop": [""]}, {}, 422, "stop", "a list of such texts"),
        (QUESTION | {"stop": list("abcde")}, {}, 422, "stop", "at most 4"),
        (QUESTION | {"best_of": 4}, {}, 422, "best_of", "question with passages"),
        (QUESTION | {"profile": "short"}, {"profile": "long"}, 400, "profile", "give it once"),
        (QUESTION | {"weights": "1,1,1"}, {"weights": "1,1,2"}, 400, "weights", "give it once"),
        (QUESTION | {"weights": "1,1,1"}, {"profile": "long"}, 400, "weights", "not both"),
        (QUESTION | {"weights": {"wit": 1}}, {}, 422, "weights", "not a category in use"),
        (QUESTION | {"weights": {"relevance": "much"}}, {}, 422, "weights", "a number for each category"),
        (
            QUESTION,
            {"weight": "1,1,1"},
            422,
            "weight",
            "'weight' is not a query parameter here; this path reads profile and",
        ),
        (QUESTION, {"Profile": "long"}, 422, "Profile", "reads profile and weights"),
        ({"messages": [{"role": "user"}]}, {}, 422, "messages.0", "of the user has no content"),
        (QUESTION | {"seed": -2}, {}, 422, "seed", "fix it and send it again"),
        (QUESTION | {"temprature": 1}, {}, 422, "temprature", "fix it and send it again"),
        ([1, 2], {}, 422, "body", "fix it and send it again"),
    ],
)
async def test_a_wrong_request_is_told_what_to_do(service, body, query, status, param, message):
    reply = await service.ask(body, **query)
    assert reply.status_code == status
    error = reply.json()["error"]
    assert set(error) == {"type", "message", "param"}
    assert error["param"].startswith(param)
    assert message in error["message"]
    assert service.engine.asked == []


@pytest.mark.parametrize("body", [{"question": "\ud800"}, {"question": "a", "passages": [{"text": "\ud800"}]}])
async def test_half_of_a_surrogate_pair_is_no_text(service, body):
    reply = await service.client.post(
        "/generate", content=json.dumps(body), headers={"content-type": "application/json"}
    )
    assert reply.status_code == 422
    assert "valid Unicode" in reply.json()["error"]["message"]


async def test_a_body_that_is_no_json(service):
    reply = await service.client.post(
        "/generate", content=b'{"question": ', headers={"content-type": "application/json"}
    )
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "body")


@pytest.mark.parametrize(
    ("content", "headers", "status", "param", "message"),
    [
        (
            b'{"question": "a"}',
            {},
            415,
            "content-type",
            "has no content-type; send JSON with content-type: application",
        ),
        (
            b"question=a",
            {"content-type": "application/x-www-form-urlencoded"},
            415,
            "content-type",
            "x-www-form-urlenc",
        ),
        (
            gzip.compress(b'{"question": "a"}', mtime=0),
            JSON | {"content-encoding": "gzip"},
            415,
            "content-encoding",
            "compressed",
        ),
        (b"", JSON, 422, "body", "The body is empty; send a JSON object."),
        (b'{"seed": %s}' % (b"9" * 4500), JSON, 400, "body", "Exceeds the limit"),
        (b'{"question": "\xff"}', JSON, 400, "body", "not text in UTF-8"),
        (b"[" * 60_000, JSON, 400, "body", "nested too deeply"),
    ],
)
@pytest.mark.parametrize("path", ["/generate", "/v1/completions"])
async def test_a_body_that_cannot_be_read_is_told_why(serve, path, content, headers, status, param, message):
    service = serve(max_body_bytes=1 << 20)
    reply = await service.client.post(path, content=content, headers=headers)
    error = reply.json()["error"]
    assert (reply.status_code, error["param"]) == (400 if path.startswith("/v1") and status == 422 else status, param)
    assert message in error["message"]


async def test_json_of_a_kind_of_its_own_is_read(service):
    for kind in ("application/json; charset=utf-8", "Application/JSON", "application/problem+json"):
        reply = await service.client.post("/generate", content=json.dumps(QUESTION), headers={"content-type": kind})
        assert reply.status_code == 200


@pytest.mark.parametrize("path", ["/generate", "/responses/x/feedback", "/annotation/next", "/admin/reload"])
async def test_a_query_parameter_that_no_one_reads_is_refused_and_probes_take_any(service, path):
    reply = await service.client.post(path, params={"verbose": "1"}, json={})
    assert (reply.status_code, reply.json()["error"]["param"]) == (422, "verbose")
    for probe in ("/livez", "/metrics", "/readyz"):
        assert (await service.client.get(probe, params={"verbose": "1"})).status_code == 200


async def test_a_body_over_the_limit_is_refused_before_it_is_read(service):
    reply = await service.client.post("/generate", json={"question": "a" * 5000})
    assert (reply.status_code, reply.json()["error"]["type"]) == (413, "too_large")

    async def endless():
        while True:
            yield b"a" * 1000

    reply = await service.client.post("/generate", content=endless())
    assert reply.status_code == 413


async def test_until_the_backend_has_started_requests_are_asked_to_come_back(starting):
    reply = await starting.ask()
    assert (reply.status_code, reply.json()["error"]["type"]) == (503, "unavailable")
    assert reply.headers["retry-after"]


async def test_a_broken_profile_is_unavailable_and_the_others_answer(service):
    service.break_profile("long", "its adapter is damaged.")
    reply = await service.ask(profile="long")
    assert reply.status_code == 503
    assert "damaged" in reply.json()["error"]["message"]
    assert (await service.ask(profile="short")).status_code == 200


async def test_an_engine_that_dies_is_said_in_both_forms(service):
    service.engine.gone = True
    assert (await service.ask()).status_code == 503
    reply = await service.ask({"question": "Where?", "stream": True})
    assert "event: error" in reply.text
    assert "restart" in reply.text
    assert service.metric("fg_requests_total", profile="medium", policy="000000000002", outcome="error") == 2


async def test_a_client_that_leaves_ends_the_generation(service):
    service.engine.hold = asyncio.Event()
    sent = asyncio.Event()

    async def receive():
        if not sent.is_set():
            sent.set()
            return {"type": "http.request", "body": json.dumps(QUESTION).encode(), "more_body": False}
        while not service.engine.asked:
            await asyncio.sleep(0)
        return {"type": "http.disconnect"}

    async def send(message):
        pass

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": "/generate",
        "raw_path": b"/generate",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
    }
    await asyncio.wait_for(service.app(scope, receive, send), 5)
    for _ in range(10):
        await asyncio.sleep(0)
    assert service.engine.closed == 1
    assert service.metric("fg_requests_total", profile="medium", policy="000000000002", outcome="cancelled") == 1


async def test_many_at_once_each_get_their_own_answer(service):
    replies = await asyncio.gather(*(service.ask(profile=name) for name in ["short", "medium", "long"] * 10))
    assert [reply.json()["text"] for reply in replies] == [
        f"The answer of {name}." for name in ["short", "medium", "long"] * 10
    ]
    assert len({reply.json()["id"] for reply in replies}) == 30
