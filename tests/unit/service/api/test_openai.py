"""The official client against the application, and what it cannot send."""

import asyncio
import json

import openai
import pytest
from sse_starlette import EventSourceResponse

from service.api.openai.chat.protocol import ChatResponse
from service.api.openai.completions.protocol import CompletionResponse
from service.domain.answer import LikelyToken, TokenLogprob

pytestmark = pytest.mark.anyio

PASSAGES = [{"title": "T", "text": "Here."}]
ASKED = [{"role": "user", "content": "Where?"}]
SOURCES = {
    "policy": {"name": "medium", "version": "000000000002"},
    "weights": {"relevance": 0.273, "factuality": 0.455, "completeness": 0.273},
    "weights_served": {"relevance": 0.273, "factuality": 0.455, "completeness": 0.273},
    "passages_cut": False,
}


@pytest.fixture
def client(service):
    return openai.AsyncOpenAI(base_url="http://test/v1", api_key="none", http_client=service.client, max_retries=0)


async def collect(stream):
    return [chunk async for chunk in stream]


async def test_profiles_are_the_models(client, service):
    listed = await client.models.list()
    assert [model.id for model in listed.data] == ["short", "medium", "long"]
    medium = await client.models.retrieve("medium")
    assert (medium.object, medium.owned_by, medium.created) == ("model", "fgctl", 1767225600)
    assert (medium.root, medium.parent, medium.weights) == ("medium@000000000002", "base", SOURCES["weights"])
    assert (medium.max_prompt_tokens, medium.max_tokens, medium.max_model_len) == (1024, 64, 64)
    assert (await client.models.retrieve("medium@000000000002")).id == "medium@000000000002"
    assert (await client.models.retrieve("weights:0.2,0.5,0.3")).root == "long@000000000003"
    for name in ("huge", "medium@000000000001"):
        with pytest.raises(openai.NotFoundError) as caught:
            await client.models.retrieve(name)
        assert caught.value.code == "model_not_found"


async def test_a_completion(client, service):
    reply = await client.completions.create(model="medium", prompt="Say")
    assert reply.choices[0].text == "The answer of medium."
    assert (reply.choices[0].finish_reason, reply.choices[0].logprobs) == ("stop", None)
    assert (reply.object, reply.model, reply.system_fingerprint) == ("text_completion", "medium", "medium@000000000002")
    assert reply.usage.model_dump(exclude_none=True) == {
        "prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7, "prompt_tokens_details": {"cached_tokens": 0},
    }  # fmt: skip
    assert {name: getattr(reply, name) for name in SOURCES} == SOURCES
    assert (await service.client.get(f"/responses/{reply.id}")).json()["text"] == "The answer of medium."


@pytest.mark.parametrize(
    ("model", "profile"), [("long", "long"), ("long@000000000003", "long"), ("weights:0.4,0.5,0.3", "short")]
)
async def test_models_are_what_selections_read(client, service, model, profile):
    reply = await client.completions.create(model=model, prompt="Say")
    assert (reply.model, reply.choices[0].text) == (model, f"The answer of {profile}.")


async def test_prompts_are_texts_or_tokens_one_or_several(client, service):
    for prompt, count in (([5, 6], 1), ([[5, 6], [7]], 2), (["a", "b", "c"], 3)):
        reply = await client.completions.create(model="medium", prompt=prompt, n=2)
        assert [choice.index for choice in reply.choices] == list(range(2 * count))
        assert [choice.text for choice in reply.choices] == [
            "The answer of medium.", "The answer of medium again.",
        ] * count  # fmt: skip
        assert reply.usage.completion_tokens == 8 * count
        assert reply.choices[0].response_id == reply.id
        assert len({choice.response_id for choice in reply.choices}) == 2 * count
        last = (await service.client.get(f"/responses/{reply.choices[-1].response_id}")).json()
        assert last["text"] == "The answer of medium again."
    assert [asked[0] for asked in service.engine.asked[:3]] == [(5, 6), (5, 6), (7,)]


async def test_what_is_said_of_sampling_reaches_the_engine(client, service):
    await client.completions.create(
        model="medium", prompt="Say", n=2, seed=7, stop=["."], temperature=0.5, top_p=0.8, max_tokens=9,
        presence_penalty=0.1, frequency_penalty=-0.2, user="somebody",
        extra_body={
            "ignore_eos": True, "skip_special_tokens": False, "min_tokens": 3, "top_k": 4, "min_p": 0.1,
            "repetition_penalty": 1.1,
        },
    )  # fmt: skip
    params = service.engine.asked[0][1]
    assert (params.n, params.seed, params.stop, params.max_tokens, params.min_tokens) == (2, 7, ["."], 9, 3)
    assert (params.temperature, params.top_p, params.top_k, params.min_p) == (0.5, 0.8, 4, 0.1)
    penalties = (params.presence_penalty, params.frequency_penalty, params.repetition_penalty)
    assert penalties == (0.1, -0.2, 1.1)
    assert (params.ignore_eos, params.skip_special_tokens) == (True, False)


async def test_a_stream_of_completions(client, service):
    options = {"include_usage": True}
    *chunks, usage = await collect(
        await client.completions.create(model="short", prompt="Say", n=2, stream=True, stream_options=options)
    )
    texts = ["".join(c.choices[0].text for c in chunks if c.choices[0].index == i) for i in (0, 1)]
    assert texts == ["The answer of short.", "The answer of short again."]
    assert [c.choices[0].finish_reason for c in chunks] == [None] * 6 + ["stop"] * 2
    assert len({c.id for c in chunks}) == 1
    assert [hasattr(c, "weights") for c in chunks] == [True] + [False] * 7
    assert [getattr(c.choices[0], "response_id", None) for c in chunks[-2:]] == [usage.id, f"{usage.id}-1"]
    assert usage.choices == []
    assert (usage.usage.prompt_tokens, usage.usage.completion_tokens) == (3, 8)
    assert (await service.client.get(f"/responses/{usage.id}-1")).json()["text"] == texts[1]


async def test_without_asking_for_usage_every_chunk_has_a_choice(client):
    chunks = await collect(await client.completions.create(model="short", prompt=["a", "b"], stream=True))
    assert [len(chunk.choices) for chunk in chunks] == [1] * 8
    assert {chunk.choices[0].index for chunk in chunks} == {0, 1}


async def test_events_are_lines_as_the_clients_split_them(service):
    reply = await service.client.post("/v1/completions", json={"prompt": "Say", "stream": True})
    assert reply.headers["content-type"].startswith("text/event-stream")
    events = reply.text.split("\n\n")
    assert all(event.startswith("data: {") for event in events[:-2])
    assert events[-2:] == ["data: [DONE]", ""]
    assert "\r" not in reply.text


@pytest.mark.parametrize(
    ("url", "body"), [("/v1/completions", {"prompt": "Say"}), ("/generate", {"question": "Where?"})]
)
async def test_a_chunk_is_one_line_however_lines_are_split(service, url, body):
    service.engine.ending = "\u2028 é\x85"
    reply = await service.client.post(url, json=body | {"stream": True})
    lines = [line.removeprefix("data: ") for line in reply.text.splitlines() if line.startswith("data: {")]
    assert any("\u2028 é\x85" in json.dumps(json.loads(line), ensure_ascii=False) for line in lines)


async def test_a_chat(client, service):
    reply = await client.chat.completions.create(
        model="medium",
        messages=[
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Where"}, {"type": "text", "text": "is it?"}]},
        ],
        max_completion_tokens=5,
        max_tokens=6,
    )
    assert (reply.object, reply.choices[0].message.role) == ("chat.completion", "assistant")
    assert reply.choices[0].message.content == "The answer of medium."
    assert reply.choices[0].finish_reason == "stop"
    assert {name: getattr(reply, name) for name in SOURCES} == SOURCES
    assert service.engine.asked[0][1].max_tokens == 5
    await service.score_all()
    assert service.worker.batches == [["The answer of medium."]]


async def test_a_stream_that_takes_long_is_not_pinged(service, monkeypatch):
    """vLLM's benchmark client loses whatever follows a ping."""
    monkeypatch.setattr(EventSourceResponse, "DEFAULT_PING_INTERVAL", 0.01)
    service.engine.hold = asyncio.Event()
    body = {"model": "short", "prompt": "Say", "stream": True}
    asking = asyncio.create_task(service.client.post("/v1/completions", json=body))
    await asyncio.sleep(0.05)
    service.engine.hold.set()
    text = (await asking).text
    assert text.endswith("data: [DONE]\n\n")
    assert all(line.startswith("data: ") for line in text.splitlines() if line)


async def test_a_stream_of_chat(client):
    stream = await client.chat.completions.create(
        model="long", messages=ASKED, stream=True, stream_options={"include_usage": True}
    )
    *chunks, usage = await collect(stream)
    assert "".join(chunk.choices[0].delta.content for chunk in chunks) == "The answer of long."
    assert [chunk.choices[0].delta.role for chunk in chunks] == ["assistant", None, None, None]
    assert chunks[0].object == "chat.completion.chunk"
    assert (chunks[0].usage, usage.usage.total_tokens) == (None, 7)


async def test_no_passages_leave_a_conversation_and_a_prompt_as_they_are(client, service):
    turns = [*ASKED, {"role": "assistant", "content": "Here."}, {"role": "user", "content": "Why?"}]
    chat = await client.chat.completions.create(model="medium", messages=turns, extra_body={"passages": []})
    assert not hasattr(chat, "messages_left_out")
    assert service.formatter.chats == [[{"role": turn["role"], "content": turn["content"]} for turn in turns]]
    completion = await client.completions.create(model="medium", prompt=[5, 6], extra_body={"passages": []})
    assert completion.choices[0].text == "The answer of medium."
    assert service.engine.asked[-1][0] == (5, 6)


async def test_an_assistants_turn_without_content_is_the_empty_text(service):
    for turn in ({"role": "assistant"}, {"role": "assistant", "content": None, "refusal": "No."}):
        messages = [*ASKED, turn, {"role": "user", "content": "Why?"}]
        for url in ("/v1/chat/completions", "/generate"):
            sent = messages if url.startswith("/v1") else [m | {} for m in messages if "refusal" not in m]
            assert (await service.client.post(url, json={"messages": sent})).status_code == 200
    assert {tuple(message["content"] for message in chat) for chat in service.formatter.chats} == {
        ("Where?", "", "Why?"),
        ("Where?", "Why?"),
    }


async def test_a_seed_of_minus_one_is_none(client, service):
    await client.completions.create(model="medium", prompt="Say", seed=-1)
    await service.ask({"question": "Where?", "seed": -1})
    assert [params.seed for _, params, _, _ in service.engine.asked] == [None, None]


@pytest.mark.parametrize("name", ["model", "profile", "Profile", "weights", "weight"])
async def test_a_policy_in_the_query_is_refused_because_it_is_read_from_the_body(service, name):
    reply = await service.client.post("/v1/completions", params={name: "long"}, json=PROMPT)
    assert (reply.status_code, reply.json()["error"]["param"]) == (
        400,
        "model" if name in ("profile", "weights") else name,
    )
    assert "send it there as model" in reply.json()["error"]["message"]
    assert (await service.client.post("/v1/completions", params={"api-version": "1"}, json=PROMPT)).status_code == 200


async def test_passages_make_the_last_message_a_question_that_is_scored(client, service):
    reply = await client.chat.completions.create(
        model="medium", messages=[{"role": "system", "content": "Be brief."}, *ASKED], extra_body={"passages": PASSAGES}
    )
    assert reply.messages_left_out == 1
    await service.score_all()
    assert service.worker.batches == [["The answer of medium."]]
    kept = (await service.client.get(f"/responses/{reply.id}")).json()
    assert kept["scores"]["completeness"]["score"] == 0.25
    assert (kept["profile"], kept["usage"]) == ("medium", {"prompt_tokens": 3, "completion_tokens": 4})


async def test_every_returned_answer_is_scored_under_its_own_id(client, service):
    reply = await client.completions.create(model="medium", prompt="Where?", n=2, extra_body={"passages": PASSAGES})
    await service.score_all()
    assert service.worker.batches == [[choice.text for choice in reply.choices]]
    for choice in reply.choices:
        kept = (await service.client.get(f"/responses/{choice.response_id}")).json()
        assert kept["scores"]["relevance"]["segments"][0]["end"] == len(choice.text)


async def test_the_n_best_come_best_first(client, service):
    once, twice = "The answer of medium again.", "The answer of medium again again."
    service.worker.rewards = {once: {"factuality": 0.5}, twice: {"factuality": 0.9}}
    reply = await client.completions.create(
        model="medium", prompt="Where?", n=2, best_of=3, extra_body={"passages": PASSAGES}
    )
    assert [choice.text for choice in reply.choices] == [twice, once]
    assert reply.choices[0].best_of["reward"] > reply.choices[1].best_of["reward"]
    assert reply.choices[1].scores["relevance"]["segments"][0]["end"] == len(once)
    assert (reply.usage.completion_tokens, reply.usage.samples) == (12, 3)
    kept = (await service.client.get(f"/responses/{reply.choices[1].response_id}")).json()
    assert (kept["text"], kept["scores"]) == (once, reply.choices[1].scores)
    chat = await client.chat.completions.create(
        model="medium", messages=ASKED, extra_body={"passages": PASSAGES, "best_of": 3}
    )
    assert chat.choices[0].message.content == twice


async def test_a_stream_of_the_best_is_one_chunk_with_its_scores(client, service):
    service.worker.rewards = {"The answer of medium again.": {"factuality": 0.9}}
    stream = await client.chat.completions.create(
        model="medium", messages=ASKED, stream=True, extra_body={"passages": PASSAGES, "best_of": 2},
        stream_options={"include_usage": True},
    )  # fmt: skip
    chunk, usage = await collect(stream)
    assert chunk.choices[0].delta.content == "The answer of medium again."
    assert chunk.choices[0].finish_reason == "stop"
    assert chunk.choices[0].scores
    assert usage.usage.samples == 2


async def test_sampling_just_what_is_returned_needs_no_choice(client):
    reply = await client.completions.create(model="medium", prompt="Say", n=2, best_of=2)
    assert not hasattr(reply.choices[0], "best_of")


@pytest.mark.parametrize("stream", [False, True])
async def test_log_probabilities_of_completions(client, stream):
    reply = await client.completions.create(model="short", prompt="Say", logprobs=3, stream=stream)
    parts = [chunk.choices[0].logprobs for chunk in (await collect(reply) if stream else [reply])]
    tokens = [token for part in parts for token in part.tokens]
    assert tokens == ["The", " answer", " of short", "."]
    assert [offset for part in parts for offset in part.text_offset] == [0, 3, 10, 19]
    assert [logprob for part in parts for logprob in part.token_logprobs] == [-1.5] * 4
    assert parts[0].top_logprobs[0] == {" Else": -0.5, "The": -1.5, " None": -9999.0}


async def test_a_token_is_among_its_alternatives(client):
    for asked, expected in ((0, {"The": -1.5}), (1, {" Else": -0.5, "The": -1.5})):
        reply = await client.completions.create(model="short", prompt="Say", logprobs=asked)
        assert reply.choices[0].logprobs.top_logprobs[0] == expected


async def test_parts_of_a_character_keep_their_bytes(client, service):
    whole = "\U0001f600".encode()
    parts = [LikelyToken("", -1.0, whole[:2]), LikelyToken("\U0001f600", -2.0, whole[2:]), LikelyToken("!", -3.0)]
    service.engine._logprobs = lambda word, params: tuple(TokenLogprob(part, (part,)) for part in parts)
    chat = await client.chat.completions.create(model="short", messages=ASKED, logprobs=True, top_logprobs=1)
    entries = chat.choices[0].logprobs.content[:3]
    assert bytes(b for entry in entries[:2] for b in entry.bytes).decode() == "\U0001f600"
    assert [entry.top_logprobs[0].bytes for entry in entries] == [[0xF0, 0x9F], [0x98, 0x80], [33]]
    reply = await client.completions.create(model="short", prompt="Say", logprobs=1)
    logprobs = reply.choices[0].logprobs
    assert logprobs.tokens[:3] == [r"bytes:\xf0\x9f", r"bytes:\x98\x80", "!"]
    assert logprobs.top_logprobs[:2] == [{r"bytes:\xf0\x9f": -1.0}, {r"bytes:\x98\x80": -2.0}]
    assert logprobs.text_offset[:4] == [0, 0, 1, 2]


@pytest.mark.parametrize("stream", [False, True])
async def test_log_probabilities_of_chat(client, stream):
    reply = await client.chat.completions.create(
        model="short", messages=ASKED, logprobs=True, top_logprobs=1, stream=stream
    )
    parts = [chunk.choices[0].logprobs for chunk in (await collect(reply) if stream else [reply])]
    entries = [entry for part in parts for entry in part.content]
    assert [entry.token for entry in entries] == ["The", " answer", " of short", "."]
    assert (entries[0].logprob, entries[0].bytes) == (-1.5, [84, 104, 101])
    assert [(other.token, other.logprob) for other in entries[0].top_logprobs] == [(" Else", -0.5)]
    plain = await client.chat.completions.create(model="short", messages=ASKED, logprobs=True)
    assert plain.choices[0].logprobs.content[0].top_logprobs == []


@pytest.mark.parametrize(
    ("model", "error", "param", "code"),
    [
        ("huge", openai.NotFoundError, "model", "model_not_found"),
        ("", openai.NotFoundError, "model", "model_not_found"),
        ("weights:1,2", openai.BadRequestError, "model", None),
    ],
)
async def test_models_that_are_none(client, model, error, param, code):
    with pytest.raises(error) as caught:
        await client.completions.create(model=model, prompt="Say")
    assert (caught.value.param, caught.value.code) == (param, code)


PROMPT, CHAT = {"prompt": "Say"}, {"messages": ASKED}
FORMS = ("regex", "ebnf", "json_schema", "grammar", "format", "guided_json")
SCHEMA = {"type": "object", "properties": {"year": {"type": "integer"}}, "required": ["year"]}


@pytest.mark.parametrize(
    ("body", "param", "message"),
    [
        ({}, "prompt", "fix it and send it again"),
        ({"prompt": []}, "prompt", "0 prompts"),
        ({"prompt": list("abcd")}, "prompt", "1 to 3"),
        ({"prompt": [1, "a"]}, "prompt", "list of token ids"),
        ({"prompt": [-1]}, "prompt", "list of token ids"),
        ({"prompt": [1], "passages": PASSAGES}, "prompt", "send it as text"),
        ({"prompt": "why " * 30}, "prompt", "shorten"),
        (PROMPT | {"n": 9}, "n", "at most 8"),
        (PROMPT | {"n": 2, "temperature": 0}, "n", "all answers are the same"),
        (PROMPT | {"n": 3, "best_of": 2}, "best_of", "fewer than n"),
        (PROMPT | {"best_of": 2}, "best_of", "question with passages"),
        (PROMPT | {"max_tokens": 65}, "max_tokens", "at most 64"),
        (PROMPT | {"max_tokens": 2, "min_tokens": 3}, "max_tokens", "min_tokens must be less"),
        (PROMPT | {"temperature": 3}, "temperature", "fix it and send it again"),
        (PROMPT | {"presence_penalty": -3}, "presence_penalty", "fix it and send it again"),
        (PROMPT | {"logprobs": 21}, "logprobs", "fix it and send it again"),
        (PROMPT | {"seed": "x"}, "seed", "fix it and send it again"),
        (PROMPT | {"stop": [""]}, "stop", "a list of such texts"),
        (PROMPT | {"stop": list("abcde")}, "stop", "at most 4"),
        (PROMPT | {"echo": True}, "echo", "echo is not served (put the prompt"),
        (PROMPT | {"logit_bias": {"1": 5}}, "logit_bias", "logit_bias is not served"),
        ({"messages": []}, "messages", "fix it and send it again"),
        ({"messages": [{"role": "tool", "content": "a"}]}, "messages.0.role", "no tools"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages.0.content", "nothing else"),
        ({"messages": [{"role": "assistant", "content": "a"}], "passages": PASSAGES}, "messages", "end with a message"),
        ({"messages": [{"role": "user", "content": " "}], "passages": PASSAGES}, "messages", "empty"),
        (CHAT | {"passages": [{"title": "T"}]}, "passages.0.text", "fix it and send it again"),
        ({"prompt": "\ud800"}, "prompt", "half of a surrogate pair"),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, "messages.0.content", "half of a surrogate pair"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "\ud800"}]}]},
            "messages.0.content",
            "half of a surrogate pair",
        ),
        (PROMPT | {"stop": ["\ud800"]}, "stop", "half of a surrogate pair"),
        ({"messages": [{"role": "user", "content": None}]}, "messages.0", "of the user has no content"),
        ({"messages": [{"role": "system"}]}, "messages.0", "of the system has no content"),
        (PROMPT | {"seed": -2}, "seed", "fix it and send it again"),
        (CHAT | {"top_logprobs": 3}, "top_logprobs", "set logprobs to true"),
        (CHAT | {"tools": [{"type": "function"}]}, "tools", "tools is not served"),
        (CHAT | {"response_format": {"type": "json_schema"}}, "response_format", "needs a schema"),
        (CHAT | {"response_format": {"type": "xml"}}, "response_format.type", "fix it and send it again"),
        (PROMPT | {"structured_outputs": {}}, "structured_outputs", "exactly one of json"),
        (PROMPT | {"structured_outputs": {"regex": "a", "choice": ["b"]}}, "structured_outputs", "exactly one of json"),
        (PROMPT | {"structured_outputs": {"choice": []}}, "structured_outputs.choice", "fix it and send it again"),
        (PROMPT | {"structured_outputs": {"json": {"type": "nothing"}}}, "structured_outputs", "cannot enforce this"),
        (PROMPT | {"structured_outputs": {"regex": "("}}, "structured_outputs", "cannot enforce this"),
        (PROMPT | {"structured_outputs": {"grammar": "root ="}}, "structured_outputs", "cannot enforce this"),
        (
            CHAT | {"structured_outputs": {"regex": "a"}, "response_format": {"type": "json_object"}},
            "structured_outputs",
            "leave one of them out",
        ),
        *((CHAT | {name: "x"}, name, "response_format or as vLLM's structured_outputs") for name in FORMS),
        (CHAT | {"tool_choice": "required"}, "tool_choice", "tool_choice is not served (policies call no tools)"),
        (CHAT | {"function_call": {"name": "f"}}, "function_call", "function_call is not served"),
        (CHAT | {"modalities": ["text", "audio"]}, "modalities", "modalities is not served"),
    ],
)
async def test_a_wrong_request_is_told_what_to_do(service, body, param, message):
    url = "/v1/chat/completions" if "messages" in body else "/v1/completions"
    reply = await service.client.post(url, content=json.dumps(body), headers={"content-type": "application/json"})
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert set(error) == {"type", "message", "param", "code"}
    assert error["param"].startswith(param)
    assert message in error["message"]
    assert service.engine.asked == []


@pytest.mark.parametrize(
    ("asked", "field", "value"),
    [
        ({"response_format": {"type": "json_object"}}, "json_object", True),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}}, "json", SCHEMA),
        ({"structured_outputs": {"json": SCHEMA}}, "json", SCHEMA),
        ({"structured_outputs": {"json": json.dumps(SCHEMA)}}, "json", json.dumps(SCHEMA)),
        ({"structured_outputs": {"regex": "[0-9]{4}"}}, "regex", "[0-9]{4}"),
        ({"structured_outputs": {"choice": ["yes", "no"]}}, "choice", ["yes", "no"]),
        ({"structured_outputs": {"grammar": 'root ::= "yes"'}}, "grammar", 'root ::= "yes"'),
    ],
)
async def test_the_form_of_an_answer_reaches_the_engine(service, asked, field, value):
    for url, body in (("/v1/chat/completions", CHAT), ("/v1/completions", PROMPT)):
        assert (await service.client.post(url, json=body | asked)).status_code == 200
        assert getattr(service.engine.asked[-1][1].structured_outputs, field) == value


async def test_what_the_prefix_cache_held_is_told(client, service):
    service.engine.cached_tokens = 2
    reply = await client.completions.create(model="medium", prompt=["a", "b"], n=2)
    assert reply.usage.prompt_tokens_details.cached_tokens == 4


async def test_the_exchanges_before_a_question_with_passages_are_read(client, service):
    before = [
        {"role": "user", "content": "Who?"},  # which nobody answered
        {"role": "user", "content": "Who?"},
        {"role": "assistant", "content": "Ada."},
    ]
    reply = await client.chat.completions.create(
        model="medium", messages=[{"role": "system", "content": "Be brief."}, *before, *ASKED],
        extra_body={"passages": PASSAGES},
    )  # fmt: skip
    assert service.formatter.earlier == [before[1:]]
    assert reply.messages_left_out == 2


async def test_a_caller_is_told_what_it_may_still_use(serve):
    service = serve(caller_requests_per_minute=2, caller_tokens_per_minute=1000)
    for left in ("1", "0"):
        reply = await service.client.post("/v1/chat/completions", json=CHAT)
        assert reply.headers["x-ratelimit-limit-requests"] == "2"
        assert reply.headers["x-ratelimit-remaining-requests"] == left
        assert reply.headers["x-ratelimit-limit-tokens"] == "1000"
        assert 900 < int(reply.headers["x-ratelimit-remaining-tokens"]) < 1000
        assert reply.headers["x-ratelimit-reset-requests"].endswith("s")
    refused = await service.client.post("/v1/responses", json={"input": "Where?"})
    assert (refused.status_code, refused.headers["x-ratelimit-remaining-requests"]) == (429, "0")


async def test_nothing_is_told_of_limits_that_there_are_not(service):
    reply = await service.client.post("/v1/chat/completions", json=CHAT)
    assert not [name for name in reply.headers if name.startswith("x-ratelimit")]


async def test_the_client_raises_what_it_means(client):
    with pytest.raises(openai.BadRequestError, match="at most 64"):
        await client.chat.completions.create(model="medium", messages=ASKED, max_tokens=65)


async def test_fields_that_nobody_knows_and_values_that_change_nothing_are_ignored(service):
    body = CHAT | {
        "store": True, "metadata": {"a": "b"}, "reasoning_effort": "low", "parallel_tool_calls": True, "tools": [],
        "response_format": {"type": "text"}, "logit_bias": {}, "echo": False, "suffix": None, "n": None, "stop": None,
        "temperature": None, "stream": None, "temprature": 1, "tool_choice": "auto", "modalities": ["text"],
        "passages": [], "grammar": "", "regex": None,
    }  # fmt: skip
    assert (await service.client.post("/v1/chat/completions", json=body)).status_code == 200


async def test_responses_have_the_shape_that_the_documentation_shows(service):
    for url, body, kind in (
        ("/v1/completions", PROMPT | {"logprobs": 2}, CompletionResponse),
        ("/v1/chat/completions", CHAT | {"logprobs": True, "passages": PASSAGES, "best_of": 2}, ChatResponse),
    ):
        reply = (await service.client.post(url, json=body)).json()
        assert kind.model_validate(reply).model_dump(exclude_unset=True) == reply


async def test_an_engine_that_dies_is_said_in_both_forms(client, service):
    service.engine.gone = True
    with pytest.raises(openai.InternalServerError, match="try again") as caught:
        await client.completions.create(model="medium", prompt="Say")
    assert caught.value.status_code == 503
    assert caught.value.response.headers["retry-after"]
    for prompt in ("Say", ["a", "b"]):
        with pytest.raises(openai.APIError, match="try again"):
            await collect(await client.completions.create(model="medium", prompt=prompt, stream=True))
    reply = await service.client.post("/v1/completions", json=PROMPT | {"stream": True})
    assert reply.text.endswith("data: [DONE]\n\n")


async def test_until_the_backend_has_started_requests_are_asked_to_come_back(starting):
    for method, url, body in (
        ("GET", "/v1/models", None),
        ("POST", "/v1/completions", PROMPT),
        ("POST", "/v1/chat/completions", CHAT),
    ):
        reply = await starting.client.request(method, url, json=body)
        assert (reply.status_code, reply.json()["error"]["code"]) == (503, None)


async def test_an_error_of_one_prompt_ends_all(service):
    service.engine.hold = asyncio.Event()
    asked = asyncio.create_task(service.client.post("/v1/completions", json={"prompt": ["a", "b"]}))
    while len(service.engine.asked) < 2:
        await asyncio.sleep(0)
    service.engine.gone = True
    service.engine.hold.set()
    assert (await asyncio.wait_for(asked, 5)).status_code == 503
    assert service.engine.closed == 2


async def test_a_client_that_leaves_ends_every_generation(service):
    service.engine.hold = asyncio.Event()
    sent = asyncio.Event()
    body = json.dumps({"prompt": ["a", "b"], "stream": True}).encode()

    async def receive():
        if not sent.is_set():
            sent.set()
            return {"type": "http.request", "body": body, "more_body": False}
        while len(service.engine.asked) < 2:
            await asyncio.sleep(0)
        return {"type": "http.disconnect"}

    async def send(message):
        pass

    path = "/v1/completions"
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "path": path,
        "raw_path": path.encode(), "query_string": b"", "headers": [(b"content-type", b"application/json")],
    }  # fmt: skip
    await asyncio.wait_for(service.app(scope, receive, send), 5)
    for _ in range(20):
        await asyncio.sleep(0)
    assert service.engine.closed == 2
    assert service.metric("fg_requests_total", profile="medium", policy="000000000002", outcome="cancelled") == 2


async def test_many_at_once_each_get_their_own_answer(client):
    names = ["short", "medium", "long"] * 10
    replies = await asyncio.gather(*(client.completions.create(model=name, prompt="Say") for name in names))
    assert [reply.choices[0].text for reply in replies] == [f"The answer of {name}." for name in names]
