"""OpenAI's interface and the best of several, by the official client, with the real engine and reward models."""

import json
import re

import httpx
import openai
import pytest

PASSAGES = [{"title": "Aldermouth Lighthouse", "text": "The tower is 31 metres tall and has 164 steps."}]
ASKED = [{"role": "user", "content": "How tall is the Aldermouth Lighthouse?"}]
HEIGHT = {
    "type": "object",
    "properties": {"tall": {"type": "boolean"}},
    "required": ["tall"],
    "additionalProperties": False,
}
SAMPLED = {"max_tokens": 12, "seed": 3}


@pytest.fixture(scope="module")
def http(app):
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test", timeout=500)


@pytest.fixture(scope="module")
def client(http):
    return openai.AsyncOpenAI(base_url="http://test/v1", api_key="none", http_client=http, max_retries=0)


async def collect(creating):
    return [chunk async for chunk in await creating]


async def names(client):
    return [model.id async for model in client.models.list()]


def test_models_answer_each_from_its_own_adapter(client, loop):
    assert loop.run(names(client)) == ["first", "second"]
    texts = [
        loop.run(client.completions.create(model=model, prompt="One, two,", **SAMPLED)).choices[0].text
        for model in ("first", "second", "weights:1,1,2")
    ]
    assert texts[0] == texts[2] != texts[1]
    with pytest.raises(openai.NotFoundError):
        loop.run(client.completions.create(model="none", prompt="One, two,"))


def test_several_completions_differ_and_are_the_same_streamed(client, loop):
    asked = {"model": "first", "prompt": "One, two,", "n": 3, "temperature": 1.0, **SAMPLED}
    whole = loop.run(client.completions.create(**asked))
    assert len({choice.text for choice in whole.choices}) == 3
    chunks = loop.run(collect(client.completions.create(**asked, stream=True, stream_options={"include_usage": True})))
    for choice in whole.choices:
        pieces = [c.choices[0] for c in chunks if c.choices and c.choices[0].index == choice.index]
        assert "".join(piece.text for piece in pieces) == choice.text
        assert pieces[-1].finish_reason == choice.finish_reason
    assert chunks[-1].usage == whole.usage
    assert 3 < whole.usage.completion_tokens <= 36


def test_token_ids_are_the_text_that_they_stand_for(client, loop, base):
    from transformers import AutoTokenizer

    ids = AutoTokenizer.from_pretrained(base.path)("One, two,")["input_ids"]
    texts = [
        loop.run(client.completions.create(model="first", prompt=prompt, temperature=0, max_tokens=6)).choices[0].text
        for prompt in ("One, two,", ids)
    ]
    assert texts[0] == texts[1]
    both = loop.run(client.completions.create(model="first", prompt=[ids, ids], temperature=0, max_tokens=6))
    assert [choice.text for choice in both.choices] == [texts[0]] * 2
    with pytest.raises(openai.BadRequestError, match="its tokenizer"):
        loop.run(client.completions.create(model="first", prompt=[10**6]))


def test_log_probabilities_are_those_of_the_likeliest_tokens(client, loop):
    asked = {"model": "first", "temperature": 0, "max_tokens": 6}
    reply = loop.run(client.completions.create(prompt="One, two,", logprobs=3, **asked)).choices[0]
    written = reply.logprobs
    assert "".join(written.tokens)[: len(reply.text)] == reply.text
    for i, (token, logprob) in enumerate(zip(written.tokens, written.token_logprobs, strict=True)):
        assert written.top_logprobs[i][token] == logprob == max(written.top_logprobs[i].values()) <= 0
        assert reply.text[written.text_offset[i] :].startswith(token[: len(reply.text) - written.text_offset[i]])
    chat = loop.run(client.chat.completions.create(messages=ASKED, logprobs=True, top_logprobs=2, **asked)).choices[0]
    for entry in chat.logprobs.content:
        assert len(entry.top_logprobs) == 2
        assert entry.top_logprobs[0].logprob == entry.logprob >= entry.top_logprobs[1].logprob


def test_the_bytes_of_an_answers_tokens_are_those_of_its_text_also_where_a_token_is_part_of_a_character(client, loop):
    asked = {
        "model": "first",
        "messages": [{"role": "user", "content": "Smile: \U0001f600\U0001f9ea\U0001f680"}],
        "n": 8,
    }
    reply = loop.run(
        client.chat.completions.create(
            **asked, temperature=2.0, top_p=1.0, max_tokens=60, seed=1, logprobs=True, top_logprobs=1
        )
    )
    parts = 0
    for choice in reply.choices:
        written = b"".join(bytes(entry.bytes) for entry in choice.logprobs.content)
        assert written.decode(errors="ignore").startswith(choice.message.content.replace("\ufffd", ""))
        parts += sum(bytes(entry.bytes) != entry.token.encode() for entry in choice.logprobs.content)
    assert parts > 0


def test_stop_texts_bounds_and_penalties_are_kept(client, loop):
    asked = {"model": "first", "prompt": "One, two,", "temperature": 0}
    plain = loop.run(client.completions.create(**asked, max_tokens=12)).choices[0].text
    cut = loop.run(client.completions.create(**asked, max_tokens=12, stop=plain[4:7])).choices[0]
    assert (cut.text, cut.finish_reason) == (plain[: plain.index(plain[4:7])], "stop")
    forced = loop.run(
        client.completions.create(**asked, max_tokens=40, extra_body={"ignore_eos": True, "min_tokens": 40})
    )
    assert (forced.usage.completion_tokens, forced.choices[0].finish_reason) == (40, "length")


def test_the_best_of_several_has_the_highest_reward_of_its_scores(client, http, loop):
    asked = {"model": "first", "messages": ASKED, "n": 2, "temperature": 1.0, "max_tokens": 24, "seed": 5}
    reply = loop.run(
        client.chat.completions.create(**asked, extra_body={"passages": PASSAGES, "best_of": 4}), timeout=540
    )
    rewards = [choice.best_of["reward"] for choice in reply.choices]
    assert all(choice.best_of["chosen"] for choice in reply.choices)
    assert rewards[0] >= rewards[1]
    assert rewards[0] >= reply.choices[0].best_of["mean_reward"]
    assert reply.usage.samples == 4
    for choice in reply.choices:
        kept = loop.run(http.get(f"/responses/{choice.response_id}")).json()
        assert kept["text"] == choice.message.content
        assert kept["scores"] == choice.scores
        ends = [segment["end"] for segment in choice.scores["completeness"]["segments"]]
        assert ends == [len(choice.message.content.rstrip())]


@pytest.mark.parametrize(
    ("form", "fits"),
    [
        ({"structured_outputs": {"choice": ["granite", "limestone"]}}, lambda text: text in ("granite", "limestone")),
        ({"structured_outputs": {"regex": "[0-9]{2} metres"}}, lambda text: re.fullmatch("[0-9]{2} metres", text)),
        ({"structured_outputs": {"grammar": 'root ::= "31" | "32"'}}, lambda text: text in ("31", "32")),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "height", "schema": HEIGHT}}},
            lambda text: isinstance(json.loads(text)["tall"], bool),
        ),
    ],
    ids=["choice", "regex", "grammar", "schema"],
)
def test_an_answer_has_the_form_that_was_asked_for(client, loop, form, fits):
    body = form | {"passages": PASSAGES}
    creating = client.chat.completions.create(model="first", messages=ASKED, max_tokens=40, seed=3, extra_body=body)
    choice = loop.run(creating).choices[0]
    assert choice.finish_reason == "stop"
    assert fits(choice.message.content)


def test_a_conversation_goes_on_from_a_response_and_its_prefix_is_cached(client, loop):
    passages = [{"text": "The tower is 31 metres tall, was built of granite in 1821 and has 164 steps. " * 12}]
    asked = {"model": "first", "max_output_tokens": 8, "temperature": 0}
    first = loop.run(client.responses.create(input=ASKED, extra_body={"passages": passages}, **asked))
    again = loop.run(client.responses.create(input=ASKED, extra_body={"passages": passages}, **asked))
    assert again.output_text == first.output_text
    assert 0 < again.usage.input_tokens_details.cached_tokens < again.usage.input_tokens
    second = loop.run(client.responses.create(input="How old is it?", previous_response_id=first.id, **asked))
    assert second.messages_left_out == 0
    assert second.usage.input_tokens > first.usage.input_tokens
    assert second.status in ("completed", "incomplete")
