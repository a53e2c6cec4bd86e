"""Answers and scores reach the store without a reply waiting for it, and what does not is counted."""

import asyncio
import time

import pytest

from rewards.errors import FgctlError
from service.errors import NotFound, Unavailable
from service.feedback import recorder
from service.feedback import runtime as service_module
from service.feedback.agreement.from_store import measure_agreement
from service.feedback.errors import StoreFailed
from service.feedback.records import Annotation

pytestmark = pytest.mark.anyio


@pytest.fixture
async def recording(serve, tmp_path):
    """Makes a service that keeps feedback, its store open."""
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


async def test_an_answer_and_its_scores_are_kept(recording):
    service = await recording()
    service.worker.label = "Unverifiable"
    feedback = service.backend.feedback
    body = {"question": "Where?", "passages": [{"title": "T", "text": "Here it is. There it was."}]}
    reply = (await service.ask(body, profile="short")).json()
    await service.score_all()
    await feedback.settled()
    kept = await feedback.store.response(reply["id"])
    assert (kept.text, kept.profile, kept.policy) == (reply["text"], "short", reply["policy"]["version"])
    assert (kept.question, kept.weights, kept.finish_reason) == ("Where?", reply["weights"], "stop")
    assert [passage.sentences for passage in kept.passages] == [("Here it is.", "There it was.")]
    assert kept.caller is None  # an address is not kept
    assert kept.scored == {
        name: (await service.client.get(f"/responses/{reply['id']}")).json()[name] for name in kept.scored
    }
    assert (kept.rewards, kept.labels) == ("v1", "names 1")
    await feedback.store.sign_in("Ann")
    offered = (await feedback.store.next_response_for("Ann")).response.scored["scores"]["factuality"]["segments"]
    assert [segment["label"] for segment in offered] == ["Unverifiable"]
    for kind in ("response", "scores"):
        assert service.metric("fg_feedback_recorded_total", kind=kind) == 1
    assert service.metric("fg_feedback_queue_depth") == 0


async def test_how_far_models_and_people_agree_is_shown_now_and_then(recording, monkeypatch):
    monkeypatch.setattr(service_module, "AGREEMENT_EVERY", 0.01)
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
    # The models take the answer for irrelevant as well, and the person does not.
    expected = (await measure_agreement(store))["models"]["relevance"]["alpha"]
    assert expected is not None
    for _ in range(200):
        await asyncio.sleep(0.01)
        if (shown := service.metric("fg_annotation_model_agreement_ratio", category="relevance")) is not None:
            break
    assert shown == expected


async def test_every_completion_that_is_returned_is_kept(recording):
    service = await recording()
    body = {"prompt": "x", "model": "short", "n": 2, "best_of": 2, "temperature": 1}
    reply = (await service.client.post("/v1/completions", json=body)).json()
    await service.backend.feedback.settled()
    texts = [response.text for response in (await service.backend.feedback.store.responses()).items]
    assert texts == [choice["text"] for choice in reply["choices"]]


async def test_the_caller_is_kept_by_its_key(recording, tmp_path):
    from service.domain.caller import Limits
    from service.edge.keys import KeyFile

    file = KeyFile(tmp_path / "keys.toml")
    key_id, secret = file.add("app", ["generate"], Limits())
    service = await recording(keys=file.path)
    headers = {"x-api-key": secret}
    reply = (await service.client.post("/generate", json={"question": "Where?"}, headers=headers)).json()
    await service.backend.feedback.settled()
    assert (await service.backend.feedback.store.response(reply["id"])).caller == f"key:{key_id}"


async def test_without_a_store_nothing_is_kept(service):
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
    with pytest.raises(FgctlError, match="cannot be made"):
        await service.backend.feedback.start()


async def test_a_store_that_fails_delays_no_reply_and_loses_nothing_that_has_room(recording, monkeypatch, caplog):
    monkeypatch.setattr(recorder, "PAUSES", (0.01, 0.01))
    service = await recording(feedback_queue=2)
    store = service.backend.feedback.store
    record, tries = store.record, []

    async def failing(*given):
        tries.append(given)
        raise StoreFailed("The disk is full.")

    monkeypatch.setattr(store, "record", failing)
    began = time.monotonic()
    replies = [(await service.ask({"question": "Where?"})).json() for _ in range(3)]
    assert time.monotonic() - began < 5
    while len(tries) < 3:
        await asyncio.sleep(0.01)
    assert service.metric("fg_feedback_queue_depth") == 2
    assert lost(service, "response", "queue_full") == 1
    assert "The disk is full" in caplog.text
    monkeypatch.setattr(store, "record", record)
    await service.backend.feedback.settled()
    kept = [response.id for response in (await store.responses()).items]
    assert kept == [reply["id"] for reply in replies[:2]]


async def test_an_answer_that_cannot_be_kept_keeps_no_other_out(recording, monkeypatch):
    service = await recording()
    split = recorder.split

    def failing(passages):
        if passages and passages[0].title == "bad":
            raise RuntimeError
        return split(passages)

    monkeypatch.setattr(recorder, "split", failing)
    for title in ("good", "bad", "good"):
        await service.ask({"question": "Where?", "passages": [{"title": title, "text": "Here."}]})
    await service.backend.feedback.settled()
    assert len((await service.backend.feedback.store.responses()).items) == 2
    assert lost(service, "response", "failed") == 1


async def test_what_waits_at_the_end_is_written_or_counted(recording, monkeypatch):
    service = await recording()
    store = service.backend.feedback.store
    await service.ask()
    await service.backend.feedback.stop()
    assert service.metric("fg_feedback_recorded_total", kind="response") == 1

    monkeypatch.setattr("service.feedback.runtime._LAST_WRITES", 0.05)
    await service.backend.feedback.start()

    async def hang(*given):
        await asyncio.sleep(60)

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
    for _ in range(100):
        if not (await service.backend.feedback.store.counts()).responses:
            break
        await asyncio.sleep(0.02)
    assert (await service.backend.feedback.store.counts()).responses == 0


class Later:
    """Eight days later."""

    @staticmethod
    def now(zone):
        from datetime import datetime, timedelta

        return datetime.now(zone) + timedelta(days=8)
