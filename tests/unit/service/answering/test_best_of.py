import asyncio
import json
from concurrent.futures.process import BrokenProcessPool

import pytest

from rewards.categories import BUILT_IN

pytestmark = pytest.mark.anyio

BODY = {"question": "Where?", "passages": [{"title": "T", "text": "Here."}], "best_of": 3}
ONCE, TWICE = "The answer of medium again.", "The answer of medium again again."
LABELS = {"profile": "medium", "policy": "000000000002"}


async def test_the_best_by_the_weights_is_the_answer_with_its_scores_and_the_cost_of_all(service):
    # Weights 3:5:3 and units 1:3 make 1.4 more factuality count more than .6 more relevance.
    service.worker.rewards = {ONCE: {"relevance": 0.1}, TWICE: {"factuality": 0.9}}
    body = (await service.ask(BODY)).json()
    assert body["text"] == TWICE
    assert body["usage"] == {"prompt_tokens": 3, "completion_tokens": 12, "samples": 3}
    assert body["scores"]["factuality"]["segments"][0]["end"] == len(TWICE)
    assert body["in_domain"] is True
    weights = body["weights"]
    counted = {name: weights[name] / spec.unit for name, spec in BUILT_IN.items()}
    plain = -0.5 * sum(counted.values())
    best, other = plain + 1.4 * counted["factuality"], plain + 0.6 * counted["relevance"]
    assert body["best_of"] == {
        "chosen": True,
        "reward": pytest.approx(best, abs=1e-3),
        "mean_reward": pytest.approx((plain + best + other) / 3, abs=1e-3),
    }
    assert service.metric("fg_best_of_gain_count", profile="medium") == 1
    gain = body["best_of"]["reward"] - body["best_of"]["mean_reward"]
    assert service.metric("fg_best_of_gain_sum", profile="medium") == pytest.approx(gain, abs=1e-3)


async def test_other_weights_choose_otherwise(service):
    once, twice = "The answer of short again.", "The answer of short again again."
    service.worker.rewards = {once: {"relevance": 0.7}, twice: {"factuality": 0.3}}
    assert (await service.ask(BODY, profile="short")).json()["text"] == once


async def test_the_chosen_answer_is_kept_with_its_scores_which_are_in_no_error_rate(service):
    service.worker.rewards = {ONCE: {"factuality": 0.9}}
    answer = (await service.ask(BODY)).json()
    kept = (await service.client.get(f"/responses/{answer['id']}")).json()
    assert kept == answer
    assert kept["scores"] is not None
    await service.score_all()
    assert [len(batch) for batch in service.worker.batches] == [3]
    assert service.metric("fg_segments_scored_total", **LABELS, category="factuality") == 0
    assert service.metric("fg_scoring_offered_total", profile="medium") == 0
    assert service.metric("fg_scoring_lag_seconds_count") == 0
    assert service.metric("fg_finished_total", **LABELS, reason="stop") == 1
    assert service.metric("fg_tokens_total", profile="medium", kind="completion") == 12


async def test_a_stream_gives_the_chosen_text_in_one_piece(service):
    service.worker.rewards = {ONCE: {"factuality": 0.9}}
    blocks = (await service.ask(BODY | {"stream": True})).text.strip().split("\r\n\r\n")
    names = [block.split("\r\n")[0] for block in blocks]
    token, done = (json.loads(block.split("data: ")[1]) for block in blocks)
    assert names == ["event: token", "event: done"]
    assert token == {"text": ONCE}
    assert (done["best_of"]["chosen"], done["usage"]["samples"]) == (True, 3)
    assert done["scores"]


@pytest.mark.parametrize("error", [BrokenProcessPool(), TimeoutError(), ValueError("a model failed")])
async def test_without_scores_the_first_sample_is_the_answer_and_is_scored_later(service, error):
    service.worker.raises = [error]
    reply = await service.ask(BODY)
    body = reply.json()
    assert reply.status_code == 200
    assert body["text"] == "The answer of medium."
    assert body["scores"] is None
    assert body["best_of"] == {"chosen": False, "reward": None, "mean_reward": None}
    assert service.metric("fg_best_of_gain_count", profile="medium") == 0
    await service.score_all()
    assert service.metric("fg_segments_scored_total", **LABELS, category="factuality") == 1
    assert (await service.client.get(f"/responses/{body['id']}")).json()["scores"]


async def test_scores_that_are_late_are_not_waited_for(service):
    service.worker.hold = asyncio.Event()
    body = (await asyncio.wait_for(service.ask(BODY), 5)).json()
    assert (body["text"], body["scores"]) == ("The answer of medium.", None)
    service.worker.hold.set()


async def test_a_client_that_leaves_ends_the_scoring_too(service):
    service.worker.hold = asyncio.Event()
    asked = asyncio.create_task(service.ask(BODY))
    while not service.worker.batches:
        await asyncio.sleep(0)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    await asyncio.sleep(0)
    assert service.worker.cancelled == 1


async def test_one_sample_is_a_plain_answer(service):
    assert "best_of" not in (await service.ask(BODY | {"best_of": 1})).json()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"best_of": 9}, "at most 8"),
        ({"temperature": 0}, "set a temperature"),
        ({"passages": []}, "question with passages"),
    ],
)
async def test_a_choice_that_cannot_be_made_is_refused(service, change, message):
    reply = await service.ask(BODY | change)
    assert (reply.status_code, reply.json()["error"]["param"]) == (422, "best_of")
    assert message in reply.json()["error"]["message"]
    assert service.engine.asked == []
    assert service.metric("fg_requests_total", **LABELS, outcome="rejected") == 1
