"""A caller's thumbs and comparisons move the weights that answer it, if its key opts in, and nobody else's."""

import uuid
from dataclasses import replace

import pytest

from policies.weights import Weights
from rewards.categories import BUILT_IN
from rewards.scores import summed_rewards
from service.domain.caller import Limits
from service.edge.keys import KeyFile
from service.feedback.records import Comparison, NewResponse, NewScores, QuickFeedback, StoredPassage
from service.feedback.store.feedback_store import open_store
from service.preferences import learned

pytestmark = pytest.mark.anyio
GOOD = {"relevance": (0.0,) * 3, "factuality": (1.0,), "score": -1.0}
"""Relevant, but neither factual nor complete: somebody who likes it wants relevance."""
BAD = {"relevance": (1.0,) * 3, "factuality": (0.0,), "score": 1.0}


def scored(relevance, factuality, score):
    def segments(probabilities):
        return [{"start": 0, "end": 1, "error_probability": p, "error": p > 0.5} for p in probabilities]

    return {
        "scores": {
            "relevance": {"segments": segments(relevance)},
            "factuality": {"segments": segments(factuality)},
            "completeness": {"segments": segments((0.5,)), "score": score},
        },
        "in_domain": True,
        "notes": [],
    }


class Shop:
    """A service with a feedback store and keys: two that learn and one that does not."""

    def __init__(self, serve, tmp_path):
        file = KeyFile(tmp_path / "keys.toml")
        scopes = ("generate", "feedback")
        self.keys = {name: file.add(name, scopes, Limits(), learn=name != "plain") for name in ("ann", "bob", "plain")}
        self.service = serve(keys=file.path, feedback_store=f"sqlite:///{tmp_path}/feedback.db")

    async def start(self):
        self.store = await open_store(self.service.backend.settings.feedback_store)
        self.service.backend.feedback._store = self.store
        passages = (StoredPassage(title="T", text="Here.", sentences=("Here.",)),)
        rows = [NewResponse(id=name, text=name, question="Where?", passages=passages) for name in ("good", "bad")]
        scores = [
            NewScores(response_id=name, rewards="r", scored=scored(**kinds))
            for name, kinds in (("good", GOOD), ("bad", BAD))
        ]
        for copy in range(8):
            await self.store.record(
                [row.model_copy(update={"id": f"{row.id}{copy}"}) for row in rows],
                [row.model_copy(update={"response_id": f"{row.response_id}{copy}"}) for row in scores],
            )
        return self

    async def thumb(self, name, response, thumb):
        key_id, _ = self.keys[name]
        submission = {"submission_id": str(uuid.uuid4()), "response_id": response, "spans": (), "comment": None}
        await self.store.quick_feedback(QuickFeedback(caller=f"key:{key_id}", thumb=thumb, **submission))

    async def likes_relevance(self, name):
        for copy in range(8):
            await self.thumb(name, f"good{copy}", 1)
            await self.thumb(name, f"bad{copy}", -1)

    async def call(self, name, method="GET", path="/preferences", **options):
        return await self.service.client.request(method, path, headers={"x-api-key": self.keys[name][1]}, **options)

    async def weights(self, name, **body):
        reply = await self.call(name, "POST", "/generate", json={"question": "Where?", **body})
        assert reply.status_code == 200, reply.text
        return reply.json()["weights"]

    async def preferences(self, name):
        return (await self.call(name)).json()


@pytest.fixture
async def shop(serve, tmp_path, monkeypatch):
    monkeypatch.setattr(learned, "FRESH", 0.0)
    monkeypatch.setattr(learned, "_seed", lambda *parts: 5)  # else every new key would draw other weights
    started = Shop(serve, tmp_path)

    async def mixture(weights, allow):
        """Stands in for the mixture of these weights."""
        return started.service.backend.roster.served["medium"]

    monkeypatch.setattr(started.service.resolver, "_by_weights", mixture)
    yield await started.start()
    await started.store.close()


PLAIN = {"relevance": 0.273, "factuality": 0.455, "completeness": 0.273}


async def test_thumbs_move_the_callers_weights_within_bounds_and_nobody_elses(shop):
    assert await shop.weights("ann") == PLAIN
    await shop.likes_relevance("ann")
    moved = await shop.weights("ann")
    assert PLAIN["relevance"] + 0.05 < moved["relevance"] <= PLAIN["relevance"] + 0.2
    assert max(abs(moved[name] - PLAIN[name]) for name in PLAIN) <= 0.2 + 1e-3
    assert await shop.weights("bob") == PLAIN
    assert (await shop.preferences("bob"))["thumbs"] == 0
    assert shop.service.metric("fg_learned_requests_total", profile="medium") == 1


async def test_a_key_that_does_not_opt_in_is_answered_as_ever(shop):
    await shop.likes_relevance("plain")
    assert await shop.weights("plain") == PLAIN
    preferences = await shop.preferences("plain")
    assert (preferences["learning"], preferences["thumbs"], preferences["profiles"]) == (False, 0, [])


async def test_what_is_learned_can_be_seen_and_stays_until_more_is_said(shop):
    await shop.likes_relevance("ann")
    preferences = await shop.preferences("ann")
    assert (preferences["learning"], preferences["thumbs"], preferences["comparisons"]) == (True, 16, 0)
    assert [row["profile"] for row in preferences["profiles"]] == ["short", "medium", "long"]
    medium = preferences["profiles"][1]
    assert medium["around"] == PLAIN
    assert medium["wanted"]["relevance"] > PLAIN["relevance"] + 0.05
    assert [await shop.weights("ann") for _ in range(3)] == [medium["answers_by"]] * 3


async def test_what_was_learned_can_be_forgotten_and_the_feedback_stays(shop):
    await shop.likes_relevance("ann")
    forgotten = await shop.call("ann", "DELETE")
    assert forgotten.status_code == 200
    assert (forgotten.json()["thumbs"], forgotten.json()["since"] is None) == (0, False)
    assert await shop.weights("ann") == PLAIN
    assert len((await shop.store.quick_feedback_page()).items) == 16
    await shop.thumb("ann", "good0", 1)
    assert (await shop.preferences("ann"))["thumbs"] == 1


async def test_of_several_thumbs_on_an_answer_the_last_counts_and_0_takes_it_back(shop):
    for thumb in (1, -1, 1):
        await shop.thumb("ann", "good0", thumb)
    assert (await shop.preferences("ann"))["thumbs"] == 1
    await shop.thumb("ann", "good0", 0)
    assert (await shop.preferences("ann"))["thumbs"] == 0


async def test_comparisons_by_the_keys_annotators_count(shop):
    for name, person in (("ann", "Ann"), ("bob", "Bob")):
        await shop.call(name, "POST", "/annotation/pairs", json={"annotator": person})
    for copy in range(8):
        comparison = Comparison(
            submission_id=str(uuid.uuid4()), a=f"good{copy}", b=f"bad{copy}", shown_first="a", choice="a",
            annotator="Ann",
        )  # fmt: skip
        await shop.store.compare(comparison)
    preferences = await shop.preferences("ann")
    assert preferences["comparisons"] == 8
    assert preferences["profiles"][1]["wanted"]["relevance"] > PLAIN["relevance"] + 0.02
    assert (await shop.preferences("bob"))["comparisons"] == 0


async def test_versions_and_weights_are_answered_as_they_are_asked_for(shop):
    await shop.likes_relevance("ann")
    assert await shop.weights("ann", profile="medium@000000000002") == PLAIN
    assert await shop.weights("ann", weights="0.2,0.5,0.3") == {
        "relevance": 0.2, "factuality": 0.5, "completeness": 0.3,
    }  # fmt: skip


async def test_answers_go_on_while_the_feedback_store_fails(shop, monkeypatch):
    from service.feedback.errors import StoreFailed

    async def fail(caller):
        raise StoreFailed("The disk is full.")

    monkeypatch.setattr(shop.store, "opinions", fail)
    assert await shop.weights("ann") == PLAIN
    assert (await shop.call("ann")).status_code == 503


async def test_what_was_said_last_counts_while_the_feedback_store_fails_and_it_is_not_asked_each_time(
    shop, monkeypatch
):
    from service.feedback.errors import StoreFailed

    await shop.likes_relevance("ann")
    moved, asked = await shop.weights("ann"), []

    async def fail(caller):
        asked.append(caller)
        raise StoreFailed("The disk is full.")

    monkeypatch.setattr(shop.store, "opinions", fail)
    assert await shop.weights("ann") == moved != PLAIN
    monkeypatch.setattr(learned, "FRESH", 1000.0)
    assert [await shop.weights("ann") for _ in range(3)] == [moved] * 3
    assert len(asked) == 1


async def test_the_profile_answers_where_the_learned_weights_cannot_be_served(shop, monkeypatch):
    from service.errors import Unavailable

    async def fail(weights, allow):
        raise Unavailable("The policies cannot be mixed now; ask for a profile.", "weights")

    monkeypatch.setattr(shop.service.resolver, "_by_weights", fail)
    await shop.likes_relevance("ann")
    assert await shop.weights("ann") == PLAIN
    assert shop.service.metric("fg_learned_requests_total", profile="medium") == 0
    reply = await shop.call("ann", "POST", "/generate", json={"question": "Where?", "weights": "0.2,0.5,0.3"})
    assert reply.status_code == 503


async def test_without_keys_nothing_is_learned_and_nothing_can_be_forgotten(service):
    preferences = await service.client.get("/preferences")
    assert preferences.json()["learning"] is False
    assert (await service.client.delete("/preferences")).status_code == 403


def test_stored_scores_give_the_reward_that_ppo_maximises():
    rewards = summed_rewards(scored(**GOOD), BUILT_IN)
    # Three clean sub-sentences of reward 1, one wrong sentence of reward -1 and unit 3, and 2 sigmoid(-1) - 1.
    assert rewards == pytest.approx({"relevance": 3.0, "factuality": -1 / 3, "completeness": -0.46212}, abs=1e-5)
    assert summed_rewards({"scores": {"relevance": {"segments": []}}}, BUILT_IN) is None


async def test_a_profile_of_another_category_answers_a_key_that_learns_as_it_is(shop):
    roster, weights = shop.service.backend.roster, Weights({"toxicity": 1})
    medium = roster.served["medium"]
    manifest = medium.manifest.model_copy(update={"weights": weights})
    roster.served["gentle"] = replace(medium, profile="gentle", weights=weights, manifest=manifest)
    await shop.likes_relevance("ann")
    assert await shop.weights("ann", profile="gentle") == {**dict.fromkeys(BUILT_IN, 0), "toxicity": 1}
    assert "toxicity" not in await shop.weights("ann", profile="medium")
