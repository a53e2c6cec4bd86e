"""POST /tokenize."""

import pytest

pytestmark = pytest.mark.anyio


async def test_a_prompt_and_a_conversation_are_read_as_when_they_are_answered(service):
    reply = (await service.client.post("/tokenize", json={"model": "medium", "prompt": "Say"})).json()
    assert reply == {"count": 3, "max_model_len": 64, "tokens": [1, 2, 3], "token_strs": None}
    asked = {"messages": [{"role": "user", "content": "Where?"}], "return_token_strs": True, "add_special_tokens": True}
    reply = (await service.client.post("/tokenize", json=asked)).json()
    assert (reply["count"], reply["token_strs"]) == (3, ["<1>", "<2>", "<3>"])
    assert service.formatter.chats == [[{"role": "user", "content": "Where?"}]]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "prompt"),
        ({"prompt": "a", "messages": [{"role": "user", "content": "b"}]}, "prompt"),
        ({"prompt": "why " * 30}, "prompt"),
        ({"messages": []}, "messages"),
        ({"prompt": "a", "model": "weights:x"}, "model"),
    ],
)
async def test_what_cannot_be_read_is_refused(service, body, param):
    reply = await service.client.post("/tokenize", json=body)
    assert (reply.status_code, reply.json()["error"]["param"]) == (422, param)
