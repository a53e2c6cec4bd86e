"""POST /score: answers of other systems, judged by the same reward models."""

import asyncio
from concurrent.futures.process import BrokenProcessPool

import pytest

from rewards.categories import BUILT_IN
from service.domain.caller import Limits
from service.edge.keys import KeyFile
from service.errors import RateLimited

pytestmark = pytest.mark.anyio
ITEM = {"question": "Where?", "passages": [{"title": "T", "text": "Here."}], "response": "It is here."}


async def test_a_response_comes_back_with_its_fields_and_scores(service):
    reply = await service.client.post("/score", json=ITEM | {"row": 7, "meta": {"app": "x"}})
    assert reply.status_code == 200
    body = reply.json()
    assert body.pop("id").startswith("score_")
    segment = {"start": 0, "end": 11, "error_probability": 0.75, "error": True}
    assert body == ITEM | {
        "row": 7,
        "meta": {"app": "x"},
        "scores": {
            "relevance": {"segments": [segment]},
            "factuality": {"segments": [segment]},
            "completeness": {"segments": [segment], "score": 0.25},
        },
        "in_domain": True,
        "notes": [],
    }


async def test_fields_of_an_earlier_reply_are_replaced(service):
    earlier = {"id": "a1", "scores": {"old": 1}, "in_domain": False, "notes": ["old"]}
    reply = await service.client.post("/score", json=ITEM | earlier)
    fresh = (await service.client.post("/score", json=ITEM | {"id": "a1"})).json()
    assert reply.json() == fresh
    assert reply.text.count('"scores"') == 1


async def test_several_come_back_in_their_order_and_go_in_small_batches(service):
    items = [ITEM | {"response": f"Number {i}.", "id": f"a{i}"} for i in range(5)]
    reply = await service.client.post("/score", json=items)
    assert [row["id"] for row in reply.json()] == ["a0", "a1", "a2", "a3", "a4"]
    assert service.worker.batches == [["Number 0.", "Number 1."], ["Number 2.", "Number 3."], ["Number 4."]]
    assert service.metric("fg_scored_on_request_total", outcome="ok") == 5


async def test_what_no_category_can_judge_is_null_with_the_reason(service):
    service.backend.core.on_request._categories = BUILT_IN  # without toxicity, which judges any text
    items = [{"response": "Hello."}, ITEM]
    first, second = (await service.client.post("/score", json=items)).json()
    assert first["scores"] is None
    assert "send its question and passages" in first["notes"][0]
    assert second["scores"] is not None
    assert service.worker.batches == [["It is here."]]


async def test_scores_feed_the_metrics_only_if_asked(service):
    labels = {"profile": "gpt", "policy": "2026-01", "category": "factuality"}
    item = ITEM | {"profile": "gpt", "policy": "2026-01"}
    await service.client.post("/score", json=item)
    assert service.metric("fg_segments_scored_total", **labels) is None
    await service.client.post("/score?record=true", json=item)
    assert service.metric("fg_segments_scored_total", **labels) == 1
    assert service.metric("fg_segment_errors_total", **labels) == 1
    assert service.metric("fg_responses_scored_total", profile="gpt", policy="2026-01") == 1


async def test_only_so_many_systems_get_series_of_their_own(serve):
    service = serve(score_labels=1)
    for name in ("a", "b", "c", "a"):
        await service.client.post("/score?record=true", json=ITEM | {"profile": name})
    counted = {
        name: service.metric("fg_responses_scored_total", profile=name, policy=policy)
        for name, policy in (("a", "unversioned"), ("b", "unversioned"), ("other", "other"))
    }
    assert counted == {"a": 2, "b": None, "other": 2}


@pytest.mark.parametrize("name", ["medium", "sft", "mixture", "unknown", "other"])
async def test_nobody_can_write_into_the_metrics_of_a_served_profile(service, name):
    reply = await service.client.post("/score?record=true", json=ITEM | {"profile": name})
    assert reply.status_code == 422
    assert reply.json()["error"]["param"] == "profile"
    assert service.worker.batches == []


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"question": "Where?"}, "response"),
        ([], "at least 1"),
        ([ITEM] * 65, "65 responses; send at most 64"),
        ([1] * 65, "object"),
        (ITEM | {"response": "a" * 50_000}, "50012 characters; send at most 50000"),
        (ITEM | {"passages": "here"}, "not a list"),
        (ITEM | {"passages": [{"text": 1}]}, "passage 0 is neither"),
        (ITEM | {"passages": [{"text": ""}] * 1001}, "1001 passages; send at most 1000"),
        (ITEM | {"passages": [["T"] + [""] * 10_000]}, "10001 titles and sentences; send at most 10000"),
        (ITEM | {"passages": [["T", ["a"]]]}, "A sentence of a passage is a list or an object"),
        (ITEM | {f"n{i}": 1 for i in range(64)}, "67 fields; send at most 64"),
        (ITEM | {"profile": "a b"}, "profile"),
        (ITEM | {"trace_id": "xyz"}, "trace_id"),
    ],
)
async def test_a_refusal_says_what_is_wrong(serve, body, sentence):
    reply = await serve(max_body_bytes=1 << 20).client.post("/score", json=body)
    assert reply.status_code == 422
    assert sentence in str(reply.json()["error"])


@pytest.mark.parametrize("value", ["NaN", "Infinity", '"\\ud800"', "[" * 500 + "]" * 500])
async def test_fields_that_json_cannot_hold_are_refused_or_come_back(service, value):
    content = '{"question": "Where?", "passages": [["T", "Here."]], "response": "It.", "x": ' + value + "}"
    reply = await service.client.post("/score", content=content, headers={"content-type": "application/json"})
    assert reply.status_code == (200 if value.startswith("[") else 422)


async def test_it_needs_a_key_with_its_own_scope(serve, tmp_path):
    file = KeyFile(tmp_path / "keys.toml")
    secrets = {scope: file.add(scope, [scope], Limits())[1] for scope in ("score", "generate")}
    service = serve(keys=file.path)
    asked = {
        scope: (await service.client.post("/score", json=ITEM, headers={"x-api-key": secret})).status_code
        for scope, secret in secrets.items()
    }
    assert asked == {"score": 200, "generate": 403}
    refused = await service.client.post("/generate", json={"question": "a"}, headers={"x-api-key": secrets["score"]})
    assert refused.status_code == 403


async def test_a_callers_requests_per_minute_count(serve):
    service = serve(caller_requests_per_minute=1)
    statuses = [(await service.client.post("/score", json=ITEM)).status_code for _ in range(2)]
    assert statuses == [200, 429]


async def test_beyond_those_that_may_wait_requests_are_refused_until_there_is_room(serve):
    service = serve(score_waiting=2)
    service.worker.hold = asyncio.Event()
    first = asyncio.create_task(service.client.post("/score", json=[ITEM, ITEM]))
    while not service.worker.batches:
        await asyncio.sleep(0)
    refused = await service.client.post("/score", json=ITEM)
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "5"
    service.worker.hold.set()
    assert (await first).status_code == 200
    assert (await service.client.post("/score", json=ITEM)).status_code == 200
    assert service.metric("fg_scored_on_request_total", outcome="overloaded") == 1


@pytest.mark.parametrize(
    ("error", "sentence"), [(BrokenProcessPool(), "ended"), (TimeoutError(), "longer"), (ValueError(), "log")]
)
async def test_failures_of_the_reward_models_are_a_503_and_the_next_request_works(service, error, sentence):
    service.worker.raises = [error]
    reply = await service.client.post("/score", json=ITEM)
    assert reply.status_code == 503
    assert sentence in reply.json()["error"]["message"]
    assert (await service.client.post("/score", json=ITEM)).status_code == 200


class SharedStandIn:
    """Limits over all replicas that allow one request."""

    def __init__(self):
        self.taken, self.returned = [], []

    async def take(self, caller, tokens, completions):
        if self.taken:
            raise RateLimited("You may send 1 requests per minute; wait 9 s.", "requests_per_minute", 9)
        self.taken.append((tokens, completions))
        return "taken"

    def give_back(self, taken, tokens, completions, *, refused):
        self.returned.append((taken, tokens, completions, refused))


async def test_requests_count_against_the_limits_over_all_replicas(service, monkeypatch):
    shared = SharedStandIn()
    monkeypatch.setattr(service.backend.pipeline, "_shared", shared)
    replies = [await service.client.post("/score", json=ITEM) for _ in range(2)]
    assert [reply.status_code for reply in replies] == [200, 429]
    assert (shared.taken, shared.returned) == ([(0, 0)], [])
    shared.taken.clear()
    service.backend.admission.stop()
    assert (await service.client.post("/score", json=ITEM)).status_code == 503
    assert shared.returned == [("taken", 0, 0, True)]
