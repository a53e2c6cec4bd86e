"""A service that was told to stop: what was admitted ends well, what is new is refused, nothing is lost."""

import asyncio

import pytest

pytestmark = pytest.mark.anyio
QUESTION = {"question": "Where?", "passages": [{"text": "Here."}]}


@pytest.fixture
def held(serve):
    """A service of one place whose engine holds its answers until it is told to go on."""
    service = serve(max_num_seqs=1, drain_seconds=5)
    service.engine.hold = asyncio.Event()
    return service


async def asked(service, count):
    requests = [asyncio.create_task(service.ask(QUESTION)) for _ in range(count)]
    for _ in range(200):
        if service.metric("fg_running_completions") and service.engine.asked:
            break
        await asyncio.sleep(0.005)
    return requests


async def test_what_was_admitted_is_answered_and_what_is_new_is_refused(held):
    requests = await asked(held, 4)
    draining = asyncio.create_task(held.backend.drain())
    await asyncio.sleep(0.01)
    refused = await held.ask(QUESTION)
    assert (refused.status_code, refused.json()["error"]["type"]) == (503, "overloaded")
    assert "stopping" in refused.json()["error"]["message"]
    assert refused.headers["retry-after"]
    ready = await held.client.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (503, "stopping")
    assert (await held.client.get("/livez")).status_code == 200
    assert not draining.done()
    held.engine.hold.set()
    assert [reply.status_code for reply in await asyncio.gather(*requests)] == [200] * 4
    await held.score_all()
    await asyncio.wait_for(draining, 5)


async def test_scores_of_the_last_answers_are_waited_for(service):
    reply = await service.ask(QUESTION)
    draining = asyncio.create_task(service.backend.drain())
    await asyncio.sleep(0.01)
    assert not draining.done()
    await service.score_all()
    await asyncio.wait_for(draining, 5)
    assert service.backend.recent.get(reply.json()["id"]).scores


async def test_scores_that_a_client_waits_for_are_given_and_new_ones_refused(service):
    item = QUESTION | {"response": "It is here."}
    service.worker.hold = asyncio.Event()
    request = asyncio.create_task(service.client.post("/score", json=item))
    while not service.worker.batches:
        await asyncio.sleep(0)
    draining = asyncio.create_task(service.backend.drain())
    await asyncio.sleep(0.01)
    refused = await service.client.post("/score", json=item)
    assert (refused.status_code, refused.json()["error"]["type"]) == (503, "overloaded")
    assert "stopping" in refused.json()["error"]["message"]
    assert not draining.done()
    service.worker.hold.set()
    assert (await request).status_code == 200
    await asyncio.wait_for(draining, 5)


async def test_what_takes_too_long_ends_with_a_reason(serve):
    service = serve(max_num_seqs=1, drain_seconds=0.05)
    service.engine.hold = asyncio.Event()
    requests = await asked(service, 5)
    stream = asyncio.create_task(service.ask(QUESTION | {"stream": True}))
    await asyncio.sleep(0.01)
    await service.backend.drain()
    replies = await asyncio.gather(*requests)
    assert {reply.status_code for reply in replies} == {503}
    assert all("stopping" in reply.json()["error"]["message"] for reply in replies)
    assert "stopping" in (await stream).text
    await asyncio.wait_for(service.backend.admission.emptied(), 1)
