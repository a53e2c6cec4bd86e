"""Responses and scores reach the store without delaying replies, and losses are counted."""

import asyncio

import pytest

from rewards.errors import FgctlError
from service.errors import NotFound, Unavailable
from service.feedback import recorder, runtime
from service.feedback.agreement.from_store import measure_agreement
from service.feedback.errors import StoreFailed
from service.feedback.records import Annotation

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """On a busy machine a write may take longer than a request would wait for it."""
    monkeypatch.setattr(runtime, "_SETTLING", 120.0)


@pytest.fixture
async def recording(serve, tmp_path):
    """Makes a service that records feedback in an open store."""
    made = []

    async def make(**settings):
        service = serve(feedback_store=f"sqlite:///{tmp_path}/feedback.db", **settings)
        service.backend.metrics.quality.rewards, service.backend.metrics.quality.labels = "v1", "names 1"
        await service.backend.feedback.start()
        made.append(service)
        return service

    yield make
    for service in made:
        await service.backend.feedback.stop()


def lost(service, kind, reason):
    return service.metric("fg_feedback_lost_total", kind=kind, reason=reason)


async def test_a_response_and_its_scores_are_recorded(recording):
    service = await recording()
    service.worker.label = "Unverifiable"
    feedback = service.backend.feedback
    body = {"question": "Where?", "passages": [{"title": "T", "text": "Here it is. There it was."}]}
    reply = (await service.ask(body, profile="short")).json()
    await service.score_all()
    await feedback.settled()
    stored = await feedback.store.response(reply["id"])
    assert (stored.text, stored.profile, stored.policy) == (reply["text"], "short", reply["policy"]["version"])
    assert (stored.question, stored.weights, stored.finish_reason) == ("Where?", reply["weights"], "stop")
    assert [passage.sentences for passage in stored.passages] == [("Here it is.", "There it was.")]
    assert stored.caller is None  # addresses are not stored
    assert stored.scored == {
        name: (await service.client.get(f"/responses/{reply['id']}")).json()[name] for name in stored.scored
    }
    assert (stored.rewards, stored.labels) == ("v1", "names 1")
    await feedback.store.sign_in("Ann")
    offered = (await feedback.store.next_response_for("Ann")).response.scored["scores"]["factuality"]["segments"]
    assert [segment["label"] for segment in offered] == ["Unverifiable"]
    for kind in ("response", "scores"):
        assert service.metric("fg_feedback_recorded_total", kind=kind) == 1
    assert service.metric("fg_feedback_queue_depth") == 0


async def test_the_agreement_metrics_are_updated_from_time_to_time(recording, monkeypatch):
    monkeypatch.setattr(runtime, "AGREEMENT_EVERY", 0.01)
    service = await recording()
    body = {"question": "Where?", "passages": [{"title": "T", "text": "Here it is. There it was."}]}
    reply = (await service.ask(body, profile="short")).json()
    await service.score_all()
    await service.backend.feedback.settled()
    assert service.metric("fg_annotation_model_agreement_ratio", category="relevance") is None
    store = service.backend.feedback.store
    await store.sign_in("ada")
    await store.submit(
        Annotation(
            submission_id="s1",
            response_id=reply["id"],
            annotator="ada",
            errors=[{"label": "Unverifiable", "start": 0, "end": len(reply["text"])}],
            corrected="Here.",
        )
    )
    # The models also find the response irrelevant, and the person does not.
    expected = (await measure_agreement(store))["models"]["relevance"]["alpha"]
    assert expected is not None
    while (shown := service.metric("fg_annotation_model_agreement_ratio", category="relevance")) is None:
        await asyncio.sleep(0.01)
    assert shown == expected


async def test_every_returned_completion_is_recorded(recording):
    service = await recording()
    body = {"prompt": "x", "model": "short", "n": 2, "best_of": 2, "temperature": 1}
    reply = (await service.client.post("/v1/completions", json=body)).json()
    await service.backend.feedback.settled()
    texts = [response.text for response in (await service.backend.feedback.store.responses()).items]
    assert texts == [choice["text"] for choice in reply["choices"]]


async def test_the_caller_is_recorded_by_its_key(recording, tmp_path):
    from service.domain.caller import Limits
    from service.edge.keys import KeyFile

    file = KeyFile(tmp_path / "keys.toml")
    key_id, secret = file.add("app", ["generate"], Limits())
    service = await recording(keys=file.path)
    headers = {"x-api-key": secret}
    reply = (await service.client.post("/generate", json={"question": "Where?"}, headers=headers)).json()
    await service.backend.feedback.settled()
    assert (await service.backend.feedback.store.response(reply["id"])).caller == f"key:{key_id}"


async def test_without_a_store_nothing_is_recorded(service):
    await service.backend.feedback.start()
    assert (await service.ask()).status_code == 200
    with pytest.raises(NotFound, match="FGCTL_FEEDBACK_STORE"):
        _ = service.backend.feedback.store
    assert lost(service, "response", "queue_full") is None
    await service.backend.feedback.stop()


async def test_a_store_that_cannot_be_opened_ends_the_start(serve, tmp_path):
    (tmp_path / "file").touch()
    service = serve(feedback_store=f"sqlite:///{tmp_path}/file/x.db")
    with pytest.raises(Unavailable, match="not open yet"):
        _ = service.backend.feedback.store
    with pytest.raises(FgctlError, match="cannot be created"):
        await service.backend.feedback.start()


async def test_a_store_that_hangs_and_fails_delays_no_reply_and_loses_only_what_has_no_room(
    recording, monkeypatch, caplog
):
    monkeypatch.setattr(recorder, "PAUSES", (0.0, 0.0))
    service = await recording(feedback_queue=2)
    store = service.backend.feedback.store
    record, attempts, replied, retried = store.record, [], asyncio.Event(), asyncio.Event()

    async def fail(*arguments):
        attempts.append(arguments)
        await replied.wait()
        if len(attempts) == 3:
            retried.set()
        raise StoreFailed("The disk is full.")

    monkeypatch.setattr(store, "record", fail)
    # The store takes until after the last reply, so a reply that waited for it would never come.
    replies = [(await service.ask({"question": "Where?"})).json() for _ in range(3)]
    assert len(attempts) <= 1
    replied.set()
    await retried.wait()
    assert service.metric("fg_feedback_queue_depth") == 2
    assert lost(service, "response", "queue_full") == 1
    assert "The disk is full" in caplog.text
    monkeypatch.setattr(store, "record", record)
    await service.backend.feedback.settled()
    stored = [response.id for response in (await store.responses()).items]
    assert stored == [reply["id"] for reply in replies[:2]]


async def test_a_response_that_cannot_be_stored_keeps_no_other_out(recording, monkeypatch):
    service = await recording()
    split_passages = recorder.split_passages

    def failing(passages):
        if passages and passages[0].title == "bad":
            raise RuntimeError
        return split_passages(passages)

    monkeypatch.setattr(recorder, "split_passages", failing)
    for title in ("good", "bad", "good"):
        await service.ask({"question": "Where?", "passages": [{"title": title, "text": "Here."}]})
    await service.backend.feedback.settled()
    assert len((await service.backend.feedback.store.responses()).items) == 2
    assert lost(service, "response", "failed") == 1


async def test_what_waits_when_the_service_stops_is_written_or_counted(recording, monkeypatch):
    service = await recording()
    store = service.backend.feedback.store
    await service.ask()
    await service.backend.feedback.stop()
    assert service.metric("fg_feedback_recorded_total", kind="response") == 1

    monkeypatch.setattr("service.feedback.runtime._LAST_WRITES", 0.05)
    await service.backend.feedback.start()

    async def hang(*arguments):
        await asyncio.Event().wait()

    monkeypatch.setattr(type(store), "record", hang)
    await service.ask()
    await service.backend.feedback.stop()
    assert lost(service, "response", "stopped") == 1


async def test_old_answers_are_deleted_while_the_service_runs(recording, monkeypatch):
    service = await recording()
    await service.ask()
    await service.backend.feedback.settled()
    await service.backend.feedback.stop()
    monkeypatch.setattr("service.feedback.runtime.datetime", Later)
    service = await recording(feedback_keep_days=7)
    while (await service.backend.feedback.store.counts()).responses:
        await asyncio.sleep(0.01)


class Later:
    """A clock that is eight days ahead."""

    @staticmethod
    def now(zone):
        from datetime import datetime, timedelta

        return datetime.now(zone) + timedelta(days=8)
