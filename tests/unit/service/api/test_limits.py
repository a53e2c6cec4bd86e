"""Bodies of a megabyte: none of them holds the event loop or takes much memory, and refusals name the limit."""

import asyncio
import json
import re
from contextlib import contextmanager
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from policies.base import resolve_base
from policies.prompt import PromptFormatter
from service.domain.caller import Limits
from service.edge.keys import KeyFile
from service.feedback.records import NewResponse
from service.parts import wire
from tests.unit.service.event_loop import checked_holds

pytestmark = pytest.mark.anyio
MIB = 1 << 20
MOST_MEMORY = 128 << 20


def filled(before, unit, after, joint=","):
    """A body of a megabyte that repeats a unit."""
    count = (MIB - len(before) - len(after)) // (len(unit) + len(joint))
    return before + joint.join([unit] * count) + after


def named(before, value, after):
    """A body of a megabyte whose object has a new name for each value."""
    count = (MIB - len(before) - len(after)) // (len(value) + 12)
    return before + ",".join(f'"n{i:07}":{value}' for i in range(count)) + after


ASK = '{"question":"Where?",'
CHAT = '{"model":"medium","messages":[{"role":"user","content":"Where?"}],'
SHORT_TURNS, LONG_TURNS = (
    ",".join(f'{{"role":"{role}","content":"{text}"}}' for role in ["user", "assistant"] * 499) + ","
    for text in ("a", "The mill. " * 95)
)
LAST_TURN = '{"role":"user","content":"Where?"}'
SCORE = '{"response":"It is here.",'
LONG_RESPONSE = '{"question":"Where?","passages":[["T","Here."]],"response":"' + "It is. " * 7000 + '"}'
JUDGE = '{"response_id":"r1","annotator":"Ann","sentences":['
SENTENCE = '{"start":0,"end":5,"supported":true}'
BODIES = {
    "wrong passages": ("/generate", filled(ASK + '"passages":[', "1", "]}"), 422),
    "empty passages": ("/generate", filled(ASK + '"passages":[', "{}", "]}"), 413),
    "fewer empty passages": ("/generate", ASK + '"passages":[' + ",".join(["{}"] * 60_000) + "]}", 422),
    "passages with unknown fields": (
        "/generate", filled(ASK + '"passages":[', named("{", "1", "}")[:500].rpartition(",")[0] + "}", "]}"), 422,
    ),
    "one passage of unknown fields": ("/generate", named(ASK + '"passages":[{', "1", "}]}"), 422),
    "wrong messages": ("/generate", '{"messages":[' + ",".join(["{}"] * 60_000) + "]}", 422),
    "unknown fields": ("/generate", named(ASK, "1", "}"), 422),
    "wrong stop texts": ("/generate", filled(ASK + '"stop":[', "1", "]}"), 422),
    "many weights": ("/generate", named(ASK + '"weights":{', "1", "}}"), 422),
    "weights as text": ("/generate", filled(ASK + '"weights":"', "1", '"}'), 422),
    "a long profile": ("/generate", filled(ASK + '"profile":"', "a", '"}', ""), 422),
    "a long question": ("/generate", filled('{"question":"', "why ", '"}', ""), 422),
    "a long prompt": ("/generate", filled('{"prompt":"', "why ", '"}', ""), 422),
    "one long passage": ("/generate", filled(ASK + '"passages":[{"text":"', "The mill. ", '"}]}', ""), 200),
    "a thousand passages": (
        "/generate", ASK + '"passages":[' + ",".join(['{"text":"' + "The mill. " * 100 + '"}'] * 1000) + "]}", 200,
    ),
    "many lists": ("/generate", filled(ASK + '"x":[', "[]", "]}"), 413),
    "deep lists": ("/generate", filled(ASK + '"x":[', "[" * 900 + "]" * 900, "]}"), 413),
    "fewer deep lists": ("/generate", ASK + '"x":[' + ",".join(["[" * 900 + "]" * 900] * 70) + "]}", 422),
    "wrong chat messages": ("/v1/chat/completions", filled('{"messages":[', "1", "]}"), 400),
    "empty chat messages": ("/v1/chat/completions", '{"messages":[' + ",".join(["{}"] * 60_000) + "]}", 400),
    "wrong parts": (
        "/v1/chat/completions",
        '{"messages":[{"role":"user","content":[' + ",".join(["{}"] * 60_000) + "]}]}",
        400,
    ),
    "wrong tools": ("/v1/chat/completions", CHAT + '"tools":[' + ",".join(["{}"] * 60_000) + "]}", 400),
    "unknown chat fields": ("/v1/chat/completions", named(CHAT, "1", "}"), 200),
    "chat stop texts": ("/v1/chat/completions", filled(CHAT + '"stop":[', "1", "]}"), 400),
    "a long message": (
        "/v1/chat/completions", filled('{"messages":[{"role":"user","content":"', "why ", '"}]}', ""), 400,
    ),
    "a schema": (
        "/v1/chat/completions",
        named(CHAT + '"response_format":{"type":"json_schema","json_schema":{"schema":{', "1", "}}}}"),
        400,
    ),
    "choices": ("/v1/chat/completions", filled(CHAT + '"structured_outputs":{"choice":[', '"a"', "]}}"), 400),
    "a long input": ("/v1/responses", filled('{"input":"', "why ", '"}', ""), 400),
    "wrong items": ("/v1/responses", '{"input":[' + ",".join(["{}"] * 60_000) + "]}", 400),
    "short turns": ("/v1/responses", f'{{"input":[{SHORT_TURNS}{LAST_TURN}],"passages":[{{"text":"Here."}}]}}', 200),
    "long turns": ("/v1/responses", f'{{"input":[{LONG_TURNS}{LAST_TURN}],"passages":[{{"text":"Here."}}]}}', 200),
    "long turns that give way": ("/v1/responses", f'{{"input":[{LONG_TURNS}{LAST_TURN}],"truncation":"auto"}}', 200),
    "token ids": ("/v1/completions", filled('{"prompt":[', "1", "]}"), 400),
    "as many token ids as allowed": ("/v1/completions", '{"prompt":[' + ",".join(["12"] * (1 << 17)) + "]}", 400),
    "lists of token ids": ("/v1/completions", '{"prompt":[' + ",".join(["[1,2,3,4,5,6]"] * 60_000) + "]}", 400),
    "prompts": ("/v1/completions", filled('{"prompt":[', '"a"', "]}"), 400),
    "mixed prompts": ("/v1/completions", filled('{"prompt":["a",', "1", "]}"), 400),
    "64 long prompts": (
        "/v1/completions", '{"prompt":[' + ",".join(['"' + "The mill. " * 1500 + '"'] * 64) + "]}", 400,
    ),
    "64 prompts": (
        "/v1/completions", '{"prompt":[' + ",".join(['"' + "The mill. " * 250 + '"'] * 64) + "]}", 200,
    ),
    "unknown fields of a structure": (
        "/v1/chat/completions", named(CHAT + '"structured_outputs":{', "1", "}}"), 400,
    ),
    "a long response to score": ("/score", filled('{"response":"', "It is. ", '"}', ""), 422),
    "responses to score as long as allowed": ("/score", "[" + ",".join([LONG_RESPONSE] * 20) + "]", 200),
    "a passage of empty sentences": ("/score", filled(SCORE + '"passages":[["T",', '""', "]]}"), 422),
    "a passage of numbers": ("/score", filled(SCORE + '"passages":[["T",', "1", "]]}"), 422),
    "a passage of a long list": ("/score", filled(SCORE + '"passages":[["T",[', "1", "]]]}"), 422),
    "as many sentences as allowed in each response": (
        "/score", "[" + ",".join([SCORE + '"passages":[["T"' + ',"a"' * 3900 + "]]}"] * 64) + "]", 200,
    ),
    "empty responses to score": ("/score", "[" + ",".join(["{}"] * 60_000) + "]", 422),
    "a large further field": ("/score", filled(SCORE + '"x":"', "why ", '"}', ""), 200),
    "a further field of numbers": ("/score", filled(SCORE + '"x":[', "1", "]}"), 200),
    "a further field of names": ("/score", named(SCORE + '"x":{', "1", "}}"), 200),
    "a further field of lists": ("/score", SCORE + '"x":[' + ",".join(["[]"] * 60_000) + "]}", 200),
    "a further field of deep lists": (
        "/score", SCORE + '"x":[' + ",".join(["[" * 900 + "]" * 900] * 70) + "]}", 200,
    ),
    "further fields": ("/score", named(SCORE, "1", "}"), 422),
    "a long prompt to tokenize": ("/tokenize", filled('{"prompt":"', "why ", '"}', ""), 422),
    "a prompt with its tokens": ("/tokenize", '{"return_token_strs":true,"prompt":"' + "why " * 1000 + '"}', 200),
    "unknown fields beside a prompt": ("/tokenize", named('{"prompt":"why",', "1", "}"), 200),
    "empty messages to tokenize": ("/tokenize", '{"messages":[' + ",".join(["{}"] * 60_000) + "]}", 422),
    "long turns to tokenize": ("/tokenize", f'{{"messages":[{LONG_TURNS}{LAST_TURN}]}}', 422),
    "a thousand passages to tokenize": (
        "/tokenize",
        '{"prompt":"Where?","passages":[' + ",".join(['{"text":"' + "The mill. " * 100 + '"}'] * 1000) + "]}",
        200,
    ),
}  # fmt: skip

JUDGEMENTS = {
    "empty sentences": (JUDGE + ",".join(["{}"] * 60_000) + "]}", 422),
    "too many sentences": (JUDGE + ",".join([SENTENCE] * 25_000) + "]}", 422),
    "as many sentences as allowed": (JUDGE + ",".join([SENTENCE] * 2000) + "]}", 200),
    "unknown fields": (named('{"response_id":"r1","annotator":"Ann",', "1", "}"), 422),
    "one sentence of unknown fields": (named(JUDGE + "{", "1", "}]}"), 422),
}


@pytest.fixture(scope="module")
def formatter():
    return PromptFormatter(AutoTokenizer.from_pretrained(resolve_base().path))


@pytest.fixture
def megabytes(serve, formatter, monkeypatch):
    """A service that takes bodies of a megabyte and formats prompts as the real one, which scores elsewhere."""
    service = serve(max_body_bytes=MIB, max_prompts=64)
    monkeypatch.setattr("tests.unit.service.conftest.response_traits", lambda request: None)
    front = service.backend.front
    service.backend.use(wire(front, service.engine, service.resolver, service.worker, formatter, service.store))
    return service


@contextmanager
def memory():
    """Gives a function that tells by how many bytes the process had grown at its peak since then."""
    reset = Path("/proc/self/clear_refs")

    def value(name):
        return int(re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) << 10

    reset.write_text("5")  # forgets the peak
    before = value("VmRSS")
    yield lambda: value("VmHWM") - before


async def check(client, path, body, status):
    """Post a body; checks the status, and that it neither held the event loop nor took much memory."""
    content = body.encode()
    assert len(content) <= MIB
    headers = {"content-type": "application/json"}
    sizes = []

    async def call():
        with memory() as grown:
            reply = await client.post(path, content=content, headers=headers)
            sizes.append(grown())
        return reply

    reply = await checked_holds(call)
    assert reply.status_code == status, reply.text[:500]
    assert sizes[-1] < MOST_MEMORY


@pytest.mark.parametrize("name", BODIES)
async def test_no_body_of_a_megabyte_holds_the_event_loop_or_much_memory(megabytes, name):
    await check(megabytes.client, *BODIES[name])


@pytest.mark.parametrize("name", JUDGEMENTS)
async def test_neither_do_the_judgements_of_sentences(serve, tmp_path, name):
    service = serve(feedback_store=f"sqlite:///{tmp_path}/feedback.db", max_body_bytes=MIB)
    await service.backend.feedback.start()
    store = service.backend.feedback.store
    await store.record([NewResponse(id="r1", text="It is here.", question="Where?")])
    await store.sign_in("Ann")
    await check(service.client, "/annotation/judgements", *JUDGEMENTS[name])
    await service.backend.feedback.stop()


@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        ("/generate", {"question": "a", "passages": [{"text": "b"}] * 1001}, "1001 passages; send at most 1000"),
        ("/generate", {"messages": [{"role": "user", "content": "b"}] * 1001}, "1001 messages; send at most 1000"),
        ("/generate", {"question": "a", "stop": ["b"] * 5}, "5 stop texts; send at most 4"),
        ("/generate", {"question": "a", "weights": {f"n{i}": 1 for i in range(101)}}, "101 weights; send at most 100"),
        ("/generate", {"question": "a"} | {f"n{i}": 1 for i in range(64)}, "65 fields"),
        ("/v1/completions", {"prompt": ["a"] * 1001}, "1001 prompts; send at most 1000"),
        ("/v1/completions", {"prompt": [1] * ((1 << 17) + 1)}, "131073 token ids; send at most 131072"),
        ("/v1/completions", {"prompt": "a", "logprobs": 20, "n": 8, "max_tokens": 64 * 32}, "log-probabilities"),
        ("/v1/responses", {"input": [{"role": "user", "content": "a"}] * 1001}, "1001 messages; send at most 1000"),
        ("/v1/completions", {"prompt": "a", "structured_outputs": {"regex": "a" * 65537}}, "at most 65536"),
        ("/v1/completions", {"prompt": "a", "structured_outputs": {"choice": ["a"] * 1001}}, "1001 choices"),
        (
            "/v1/chat/completions",
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}] * 1001}]},
            "1001 parts; send at most 1000",
        ),
    ],
)
async def test_a_refusal_names_the_limit(serve, path, body, sentence):
    client = serve(max_body_bytes=MIB, max_tokens=4096).client
    reply = await client.post(path, json=body)
    assert reply.status_code == (422 if path == "/generate" else 400)
    assert sentence in reply.json()["error"]["message"]


async def test_a_caller_over_its_limits_is_refused_before_a_long_body_is_parsed(serve, tmp_path):
    file = KeyFile(tmp_path / "keys.toml")
    _, secret = file.add("app", ["generate"], Limits(requests_per_minute=1))
    service = serve(keys=file.path, max_body_bytes=MIB)
    headers = {"x-api-key": secret, "content-type": "application/json"}
    assert (await service.client.post("/generate", json={"question": "a"}, headers=headers)).status_code == 200
    for path in ("/generate", "/v1/completions", "/v1/chat/completions", "/tokenize"):
        for content, status in ((b"{" * 20_000, 429), (chunks(), 429), (b"{", 400)):
            reply = await service.client.post(path, content=content, headers=headers)
            assert reply.status_code == status, (path, reply.text)
    assert service.metric("fg_requests_total", profile="unknown", policy="unknown", outcome="limited") == 8
    assert json.loads(reply.text)["error"]["type"] == "bad_request"


async def test_so_is_one_whose_responses_are_to_be_scored_whatever_the_engine_does(serve, tmp_path):
    file = KeyFile(tmp_path / "keys.toml")
    _, secret = file.add("app", ["generate", "score"], Limits(concurrency=1, requests_per_minute=2))
    service = serve(keys=file.path, max_body_bytes=MIB)
    headers = {"x-api-key": secret, "content-type": "application/json"}
    service.engine.hold = asyncio.Event()
    generating = asyncio.create_task(service.client.post("/generate", json={"question": "a"}, headers=headers))
    while not service.engine.asked:
        await asyncio.sleep(0)
    long = SCORE + '"x":"' + "a" * 20_000 + '"}'
    assert (await service.client.post("/score", content=long, headers=headers)).status_code == 200
    for content, status in ((b"{" * 20_000, 429), (chunks(), 429), (b"{", 400)):
        reply = await service.client.post("/score", content=content, headers=headers)
        assert reply.status_code == status, reply.text
    assert service.metric("fg_refusals_total", profile="unknown", reason="requests_per_minute") == 2
    service.engine.hold.set()
    assert (await generating).status_code == 200


async def chunks():
    yield b"{"
