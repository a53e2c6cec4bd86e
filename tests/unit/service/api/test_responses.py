"""The Responses API by the official client, against the application with a stand-in for its engine."""

import json

import openai
import pytest
from openai.types.responses import Response

from service.feedback.recorder import _new_response

pytestmark = pytest.mark.anyio

PASSAGES = [{"title": "T", "text": "Here."}]
ANSWER = "The answer of medium."


@pytest.fixture
def client(service):
    return openai.AsyncOpenAI(base_url="http://test/v1", api_key="none", http_client=service.client, max_retries=0)


async def test_a_response_is_what_the_client_declares(client, service):
    reply = await client.responses.create(
        model="medium", input="Where?", instructions="Be brief.", temperature=0.5, max_output_tokens=9,
        metadata={"a": "b"},
    )  # fmt: skip
    assert reply.output_text == ANSWER
    assert (reply.status, reply.model, reply.instructions, reply.metadata) == (
        "completed", "medium", "Be brief.", {"a": "b"},
    )  # fmt: skip
    assert (reply.usage.input_tokens, reply.usage.output_tokens, reply.usage.total_tokens) == (3, 4, 7)
    assert reply.usage.input_tokens_details.cached_tokens == 0
    assert (reply.temperature, reply.max_output_tokens, reply.store) == (0.5, 9, True)
    assert reply.output[0].id == reply.id.replace("resp_", "msg_")
    Response.model_validate(reply.model_dump(exclude_unset=True), strict=True)
    assert service.formatter.chats == [
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Where?"}]
    ]
    assert (await service.client.get(f"/responses/{reply.id}")).json()["text"] == ANSWER


async def test_the_input_is_a_conversation_with_what_an_earlier_output_held(client, service):
    first = await client.responses.create(model="medium", input="Where?")
    await client.responses.create(
        model="medium",
        input=[
            {"role": "developer", "content": "Be kind."},
            {"role": "user", "content": [{"type": "input_text", "text": "Where?"}]},
            *[item.model_dump(exclude_none=True) for item in first.output],
            {"type": "message", "role": "user", "content": "And when?"},
        ],
    )
    assert service.formatter.chats[-1] == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Where?"},
        {"role": "assistant", "content": ANSWER},
        {"role": "user", "content": "And when?"},
    ]


async def test_a_response_goes_on_from_another_without_its_instructions(client, service):
    first = await client.responses.create(model="medium", input="Where?", instructions="Be brief.")
    second = await client.responses.create(model="medium", input="When?", previous_response_id=first.id)
    assert second.previous_response_id == first.id
    await client.responses.create(model="medium", input="Why?", previous_response_id=second.id)
    assert [message["content"] for message in service.formatter.chats[-1]] == [
        "Where?", ANSWER, "When?", ANSWER, "Why?",
    ]  # fmt: skip


async def test_passages_are_carried_over_with_the_exchanges_before(client, service):
    first = await client.responses.create(model="medium", input="Where?", extra_body={"passages": PASSAGES})
    second = await client.responses.create(model="medium", input="When?", previous_response_id=first.id)
    await service.score_all()
    assert (await service.client.get(f"/responses/{second.id}")).json()["scores"] is not None
    assert service.formatter.earlier[-1] == [
        {"role": "user", "content": "Where?"}, {"role": "assistant", "content": ANSWER},
    ]  # fmt: skip
    assert second.messages_left_out == 0
    await client.responses.create(
        model="medium", input="Why?", previous_response_id=second.id, extra_body={"passages": []}
    )
    assert len(service.formatter.chats[-1]) == 5


async def test_of_a_long_conversation_the_latest_messages_are_kept(serve):
    service = serve(max_body_bytes=1 << 20)

    async def kept(messages):
        reply = (await service.client.post("/v1/responses", json={"input": messages})).json()
        return [turn["content"] for turn in service.backend.recent.get(reply["id"]).turns]

    messages = [{"role": "user", "content": str(number)} for number in range(300)]
    assert await kept(messages) == [str(number) for number in range(100, 300)]
    huge = {"role": "user", "content": "x" * 3000}  # over a third of what a prompt could hold
    assert len(await kept([*[huge] * 3, *messages[:2]])) == 4


@pytest.mark.parametrize("kept", [{"store": False}, {}], ids=["not kept", "unknown"])
async def test_a_response_that_is_not_kept_cannot_be_gone_on_from(client, kept):
    first = await client.responses.create(model="medium", input="Where?", **kept)
    with pytest.raises(openai.BadRequestError) as caught:
        await client.responses.create(
            model="medium", input="When?", previous_response_id=first.id if kept else "resp_0"
        )
    assert (caught.value.code, caught.value.param) == ("previous_response_not_found", "previous_response_id")


async def test_only_the_caller_of_a_response_goes_on_from_it(client, service):
    first = await client.responses.create(model="medium", input="Where?")
    service.backend.recent.get(first.id).caller_id = "key:other"
    with pytest.raises(openai.BadRequestError, match="not found"):
        await client.responses.create(model="medium", input="When?", previous_response_id=first.id)


async def test_the_feedback_store_gets_the_conversation(client, service):
    finished = []
    service.backend.front.feedback.add = finished.append
    service.start()
    await client.responses.create(model="medium", input="Where?")
    assert _new_response(finished[0]).extra == {"turns": [{"role": "user", "content": "Where?"}]}
    await client.responses.create(model="medium", input="Where?", store=False)
    await client.chat.completions.create(model="medium", messages=[{"role": "user", "content": "Where?"}])
    assert [_new_response(event).extra for event in finished[1:]] == [None, None]


async def test_a_response_is_retrieved_as_it_was(client, service):
    created = await client.responses.create(model="short", input="Where?", extra_body={"passages": PASSAGES})
    retrieved = await client.responses.retrieve(created.id)
    Response.model_validate(retrieved.model_dump(exclude_unset=True), strict=True)
    not_kept = {
        "instructions", "metadata", "previous_response_id", "text", "temperature", "top_p", "max_output_tokens",
        "top_logprobs", "truncation", "completed_at", "messages_left_out",
    }  # fmt: skip
    old, new = created.model_dump(exclude_unset=True), retrieved.model_dump(exclude_unset=True)
    assert {name for name, value in new.items() if value != old[name]} == {
        name for name in not_kept if old[name] is not None
    }
    assert old.keys() == new.keys()
    assert {new[name] for name in not_kept} == {None}
    assert (retrieved.output_text, retrieved.usage.total_tokens) == ("The answer of short.", 7)


async def test_how_a_response_was_chosen_and_that_it_was_cut_off_are_retrieved(client, service):
    service.engine.finish_reason = "length"
    body = {"passages": PASSAGES, "best_of": 2}
    created = await client.responses.create(model="medium", input="Where?", extra_body=body)
    retrieved = await client.responses.retrieve(created.id)
    assert (retrieved.status, retrieved.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert (retrieved.best_of, retrieved.scores) == (created.best_of, created.scores)
    assert retrieved.scores["factuality"]


async def test_a_deleted_response_is_gone(client, service):
    first = await client.responses.create(model="medium", input="Where?")
    reply = await service.client.delete(f"/v1/responses/{first.id}")
    assert (reply.status_code, reply.json()) == (200, {"id": first.id, "object": "response", "deleted": True})
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(first.id)
    with pytest.raises(openai.NotFoundError):
        await client.responses.delete(first.id)
    with pytest.raises(openai.BadRequestError, match="not found"):
        await client.responses.create(model="medium", input="When?", previous_response_id=first.id)
    assert (await service.client.get(f"/responses/{first.id}")).status_code == 404
    await service.score_all()
    assert service.backend.recent.get(first.id) is None


@pytest.mark.parametrize("case", ["unknown", "store false", "another key's", "a chat completion"])
async def test_what_previous_response_id_does_not_take_is_not_found(client, service, case):
    response_id = "resp_0"
    if case == "a chat completion":
        body = {"model": "medium", "messages": [{"role": "user", "content": "Where?"}]}
        response_id = (await client.chat.completions.create(**body)).id
    elif case != "unknown":
        response = await client.responses.create(model="medium", input="Where?", store=case != "store false")
        response_id = response.id
    if case == "another key's":
        service.backend.recent.get(response_id).caller_id = "key:other"
    for call in (client.responses.retrieve, client.responses.delete):
        with pytest.raises(openai.NotFoundError) as caught:
            await call(response_id)
        assert (caught.value.code, caught.value.param) == ("response_not_found", "response_id")
        assert response_id in caught.value.message
    assert (service.backend.recent.get(response_id) is None) == (case == "unknown")


async def test_the_events_of_a_kept_response_cannot_be_replayed(client):
    first = await client.responses.create(model="medium", input="Where?")
    with pytest.raises(openai.BadRequestError, match="without stream") as caught:
        await client.responses.retrieve(first.id, stream=True)
    assert caught.value.param == "stream"


async def test_the_events_of_a_stream(client):
    events = [event async for event in await client.responses.create(model="short", input="Where?", stream=True)]
    assert [event.type for event in events] == [
        "response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
        *["response.output_text.delta"] * 4,
        "response.output_text.done", "response.content_part.done", "response.output_item.done", "response.completed",
    ]  # fmt: skip
    assert [event.sequence_number for event in events] == list(range(12))
    assert "".join(event.delta for event in events[4:8]) == "The answer of short."
    assert (events[0].response.status, events[0].response.usage) == ("in_progress", None)
    assert events[-1].response.output_text == events[8].text == "The answer of short."
    assert {event.item_id for event in events[3:10]} == {events[-1].response.output[0].id}
    for event in events:
        type(event).model_validate(event.model_dump(exclude_unset=True), strict=True)


async def test_the_clients_own_helper_reads_a_stream(client):
    async with client.responses.stream(model="medium", input="Where?") as stream:
        async for _ in stream:
            pass
        assert (await stream.get_final_response()).output_text == ANSWER


async def test_an_answer_as_long_as_it_may_be_is_incomplete(client, service):
    service.engine.finish_reason = "length"
    reply = await client.responses.create(model="medium", input="Where?")
    assert (reply.status, reply.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    events = [event async for event in await client.responses.create(model="medium", input="Where?", stream=True)]
    assert events[-1].type == "response.incomplete"


async def test_what_fails_ends_the_stream(client, service):
    service.engine.gone = True
    stream = await client.responses.create(model="medium", input="Where?", stream=True)
    last = [event async for event in stream][-1]
    assert (last.type, last.response.status, last.response.error.code) == ("response.failed", "failed", "server_error")
    assert "restarted" in last.response.error.message


async def test_log_probabilities(client):
    reply = await client.responses.create(
        model="short", input="Say", top_logprobs=2, include=["message.output_text.logprobs"]
    )
    logprobs = reply.output[0].content[0].logprobs
    assert [entry.token for entry in logprobs] == ["The", " answer", " of short", "."]
    assert [other.logprob for other in logprobs[0].top_logprobs] == [-0.5, -1.5]


async def test_the_best_of_several(client, service):
    service.worker.rewards = {"The answer of medium again.": {"factuality": 0.9}}
    body = {"passages": PASSAGES, "best_of": 2}
    reply = await client.responses.create(model="medium", input="Where?", extra_body=body)
    assert (reply.output_text, reply.best_of["chosen"]) == ("The answer of medium again.", True)
    stream = await client.responses.create(model="medium", input="Where?", extra_body=body, stream=True)
    assert [event.delta async for event in stream if event.type == "response.output_text.delta"] == [
        "The answer of medium again."
    ]


async def test_the_form_of_the_text_reaches_the_engine(client, service):
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    form = {"type": "json_schema", "name": "a", "schema": schema, "strict": True}
    reply = await client.responses.create(model="medium", input="Where?", text={"format": form})
    assert service.engine.asked[-1][1].structured_outputs.json == schema
    assert reply.text.format.schema_ == schema


@pytest.mark.parametrize(
    ("body", "param", "message"),
    [
        ({}, "input", "fix it and send it again"),
        ({"input": []}, "input", "fix it and send it again"),
        ({"input": [{"type": "item_reference", "id": "msg_0"}]}, "input", "read no references"),
        ({"input": [{"role": "tool", "content": "a"}]}, "input", "no tools"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input", "read no others"),
        ({"input": "a", "tools": [{"type": "web_search"}]}, "tools", "call no tools"),
        ({"input": "a", "background": True}, "background", "ask for a stream"),
        ({"input": "a", "conversation": "c"}, "conversation", "previous_response_id"),
        ({"input": "a", "max_tokens": 3}, "max_tokens", "as max_output_tokens"),
        ({"input": "a", "text": {"format": {"type": "json_schema"}}}, "text", "needs a schema"),
        ({"input": "a", "metadata": {str(i): "" for i in range(17)}}, "metadata", "at most 16"),
        ({"input": [{"role": "assistant", "content": "a"}], "passages": PASSAGES}, "input", "end with a message"),
        (
            {"input": "a", "structured_outputs": {"regex": "a"}, "text": {"format": {"type": "json_object"}}},
            "structured_outputs",
            "leave one of them out",
        ),
    ],
)
async def test_a_wrong_request_is_told_what_to_do(service, body, param, message):
    reply = await service.client.post(
        "/v1/responses", content=json.dumps(body), headers={"content-type": "application/json"}
    )
    error = reply.json()["error"]
    assert reply.status_code == 400
    assert set(error) == {"type", "message", "param", "code"}
    assert error["param"].startswith(param)
    assert message in error["message"]
    assert service.engine.asked == []
