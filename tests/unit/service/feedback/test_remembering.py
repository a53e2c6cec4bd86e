"""Responses in the store that are no longer in memory: found under the same rules, retrieved and deleted."""

import pytest

from service.domain.caller import Limits
from service.edge.keys import KeyFile
from service.feedback.errors import StoreFailed

pytestmark = pytest.mark.anyio
ASKED = {"question": "Where?", "passages": [{"title": "T", "text": "Here it is. There it was."}]}
NOT_STORED = {"weights_served": None, "passages_cut": None, "usage": None}


@pytest.fixture
async def run(serve, url):
    """Starts services on one store, one after another."""
    running = []

    async def start(**settings):
        if running:
            await running.pop().backend.feedback.stop()
        running.append(serve(feedback_store=url, **settings))
        await running[-1].backend.feedback.start()
        return running[-1]

    yield start
    await running.pop().backend.feedback.stop()


async def fetched(service, response_id, key=None):
    reply = await service.client.get(f"/responses/{response_id}", headers={"x-api-key": key} if key else {})
    return reply.status_code, reply.json()


async def test_a_response_is_the_same_when_memory_has_no_room_for_it_and_after_a_restart(run):
    service = await run(recent_responses=1)
    answer = (await service.ask(ASKED, profile="short")).json()
    await service.score_all()
    status, recent = await fetched(service, answer["id"])
    assert (status, recent["weights_served"]) == (200, answer["weights_served"])
    await service.ask(ASKED)
    await service.backend.feedback.settled()
    assert service.backend.recent.get(answer["id"]) is None
    expected = (200, recent | NOT_STORED | ASKED)
    assert expected[1]["scores"]["factuality"]["segments"][0]["error"] is True
    assert await fetched(service, answer["id"]) == expected
    assert await fetched(await run(), answer["id"]) == expected


async def test_a_response_that_was_never_scored(run):
    service = await run(recent_responses=1)
    answer = (await service.ask({"prompt": "Say something."})).json()
    await service.backend.feedback.settled()
    status, stored = await fetched(await run(), answer["id"])
    assert (status, stored["text"], stored["scores"]) == (200, answer["text"], None)
    assert (stored["question"], stored["passages"]) == ("", [])


async def test_the_question_is_shown_to_the_key_that_asked_it_and_to_annotators(run, tmp_path):
    file = KeyFile(tmp_path / "keys.toml")
    scopes = {"asks": ["generate"], "other": ["generate"], "reads": ["generate", "feedback"], "annotates": ["feedback"]}
    keys = {name: file.add(name, granted, Limits())[1] for name, granted in scopes.items()}
    service = await run(keys=file.path)
    reply = await service.client.post("/generate", json=ASKED, headers={"x-api-key": keys["asks"]})
    response_id = reply.json()["id"]
    await service.backend.feedback.settled()
    service = await run(keys=file.path)
    assert (await fetched(service, response_id))[0] == 401
    assert (await fetched(service, response_id, keys["annotates"]))[0] == 403
    shown = {name: await fetched(service, response_id, keys[name]) for name in ("asks", "other", "reads")}
    assert {status for status, _ in shown.values()} == {200}
    assert shown["asks"] == shown["reads"]
    assert shown["asks"][1] == shown["other"][1] | ASKED
    assert not {"question", "passages"} & shown["other"][1].keys()


@pytest.mark.parametrize("response_id", ["r9", "imported", "%F0%9F%91%8E"])
async def test_a_response_that_the_service_never_generated(run, answer, response_id):
    service = await run()
    await service.backend.feedback.store.record_response(answer("imported", source="imported"))
    status, error = await fetched(service, response_id)
    assert (status, error["error"]["param"]) == (404, "response_id")
    assert "only the latest 3 are kept" in error["error"]["message"]


async def test_a_failing_store_hides_nothing_that_is_in_memory(run, monkeypatch):
    service = await run()
    answer = (await service.ask(ASKED)).json()

    async def failing(*arguments):
        raise StoreFailed("The disk is full.")

    monkeypatch.setattr(service.backend.feedback.store, "response", failing)
    assert (await fetched(service, answer["id"]))[0] == 200
    status, error = await fetched(service, "r9")
    assert (status, error["error"]["message"]) == (503, "The disk is full.")


async def responses_call(service, method, response_id, key=None):
    reply = await service.client.request(
        method, f"/v1/responses/{response_id}", headers={"x-api-key": key} if key else {}
    )
    return reply.status_code, reply.json()


async def test_a_response_is_retrieved_and_deleted_after_a_restart(run):
    service = await run()
    created = (await service.client.post("/v1/responses", json={"input": "Where?", "model": "short"})).json()
    await service.backend.feedback.settled()
    service = await run()
    status, stored = await responses_call(service, "GET", created["id"])
    assert (status, stored.keys()) == (200, created.keys())
    kept = ("id", "object", "status", "model", "output", "policy", "weights", "store", "error", "incomplete_details")
    assert {name: stored[name] for name in kept} == {name: created[name] for name in kept}
    assert abs(stored["created_at"] - created["created_at"]) < 60
    assert [stored[name] for name in (*NOT_STORED, "temperature", "metadata")] == [None] * 5
    deleted = {"id": created["id"], "object": "response", "deleted": True}
    assert await responses_call(service, "DELETE", created["id"]) == (200, deleted)
    assert (await responses_call(service, "DELETE", created["id"]))[0] == 404
    assert (await fetched(await run(), created["id"]))[0] == 404


async def test_a_response_that_is_deleted_at_once_is_not_stored_later(run):
    service = await run()
    created = (await service.client.post("/v1/responses", json={"input": "Where?"})).json()
    assert (await responses_call(service, "DELETE", created["id"]))[0] == 200
    await service.score_all()
    await service.backend.feedback.settled()
    assert (await service.backend.feedback.store.counts()).responses == 0


async def test_while_the_store_cannot_be_written_a_response_stays(run, monkeypatch):
    service = await run()

    async def failing(*arguments):
        raise StoreFailed("The disk is full.")

    monkeypatch.setattr(service.backend.feedback.store, "record", failing)
    monkeypatch.setattr("service.feedback.runtime._SETTLING", 0.05)
    created = (await service.client.post("/v1/responses", json={"input": "Where?"})).json()
    status, error = await responses_call(service, "DELETE", created["id"])
    assert (status, "try again" in error["error"]["message"]) == (503, True)
    assert (await responses_call(service, "GET", created["id"]))[0] == 200
    monkeypatch.undo()
    await service.backend.feedback.settled()


async def test_a_response_that_has_feedback_is_not_deleted(run):
    service = await run()
    created = (await service.client.post("/v1/responses", json={"input": "Where?"})).json()
    body = {"submission_id": "s1", "thumb": -1}
    assert (await service.client.post(f"/responses/{created['id']}/feedback", json=body)).status_code == 200
    status, error = await responses_call(service, "DELETE", created["id"])
    assert (status, error["error"]["type"]) == (409, "conflict")
    assert "delete-person" in error["error"]["message"]
    assert (await responses_call(service, "GET", created["id"]))[0] == 200
    assert (await service.backend.feedback.store.counts()).quick_feedback == 1


async def test_only_the_key_that_asked_retrieves_and_deletes(run, tmp_path):
    file = KeyFile(tmp_path / "keys.toml")
    scopes = {"asks": ["generate"], "reads": ["generate", "feedback"], "annotates": ["feedback"]}
    keys = {name: file.add(name, granted, Limits())[1] for name, granted in scopes.items()}
    service = await run(keys=file.path)
    headers = {"x-api-key": keys["asks"]}
    created = (await service.client.post("/v1/responses", json={"input": "Where?"}, headers=headers)).json()
    await service.backend.feedback.settled()
    for restart in (False, True):  # from memory, and from the store
        service = await run(keys=file.path) if restart else service
        for method in ("GET", "DELETE"):
            statuses = [
                (await responses_call(service, method, created["id"], key))[0]
                for key in (None, keys["annotates"], keys["reads"])
            ]
            assert statuses == [401, 403, 404]
        assert (await responses_call(service, "GET", created["id"], keys["asks"]))[0] == 200
    assert (await responses_call(service, "DELETE", created["id"], keys["asks"]))[0] == 200
