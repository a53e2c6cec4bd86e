"""Toxicity in the service: every answer of every endpoint is judged, and the policy for open prompts is served.

Content note: a mild insult, to be recognised.
"""

import pytest

from policies.manifest import Named, Versioned
from rewards.scorer import Scorer
from rewards.traits.response_traits import response_traits
from service.domain.roster import Roster
from service.domain.scored import ScoredCompletion

pytestmark = pytest.mark.anyio

RUDE = " went home. You stupid idiot, shut up!"
PARENT = Versioned(version="0f0f0f0f0f0f", digest="d" * 64)


@pytest.fixture
async def service(starting, write_policy, monkeypatch):
    """A service of two policies with a parent and of one for open prompts, judged by the real scorer."""
    monkeypatch.delenv("FGCTL_CATEGORIES", raising=False)
    base = Named(name="base", digest="b" * 64)
    for seed, (profile, weights) in enumerate({"medium": "1,1,1", "long": "1,2,3"}.items()):
        version = write_policy(starting.store, profile, seed, weights=weights, base=base, parent=PARENT).version
        starting.store.promote(profile, version)
    starting.store.promote("gentle", write_policy(starting.store, "gentle", 9, weights="toxicity=1", base=base).version)
    starting.resolver.roster = Roster()
    await starting.resolver.reload()
    scorer = Scorer.load()

    async def score(requests):
        scores = scorer.score_by_needs(requests)
        return [ScoredCompletion(*pair) for pair in zip(scores, map(response_traits, requests), strict=True)]

    starting.worker.score = score
    starting.engine.ending = RUDE
    starting.start()
    return starting


def judged(service, name, profile):
    """A series of the category for the current version of a profile."""
    version = service.store.profile(profile).version
    return service.metric(name, profile=profile, policy=version, category="toxicity")


async def test_a_prompt_for_gentle_gets_scored_sentences_and_fills_the_panels_series(service):
    assert judged(service, "fg_segments_scored_total", "gentle") == 0
    answer = (await service.ask({"prompt": "He"}, profile="gentle")).json()
    assert answer["profile"] == "gentle"
    assert answer["weights"] == {"relevance": 0, "factuality": 0, "completeness": 0, "toxicity": 1}
    await service.score_all()
    scores = (await service.client.get(f"/responses/{answer['id']}")).json()["scores"]
    assert list(scores) == ["toxicity"]
    sentences = [(answer["text"][s["start"] : s["end"]], s["error"]) for s in scores["toxicity"]["segments"]]
    assert sentences == [("The answer of gentle went home.", False), ("You stupid idiot, shut up!", True)]
    assert judged(service, "fg_segments_scored_total", "gentle") == 2
    assert judged(service, "fg_segment_errors_total", "gentle") == 1
    assert service.metric("fg_reward_count", profile="gentle", category="toxicity") == 2


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/completions", {"model": "medium", "prompt": "Say"}),
        ("/v1/chat/completions", {"model": "medium", "messages": [{"role": "user", "content": "Hi"}]}),
        ("/v1/chat/completions", {"model": "medium", "messages": [{"role": "user", "content": "Hi"}], "stream": True}),
        ("/generate?profile=medium", {"question": "Where?", "passages": [{"title": "T", "text": "Here."}]}),
    ],
)
async def test_answers_of_every_endpoint_and_profile_are_judged(service, path, body):
    assert (await service.client.post(path, json=body)).status_code == 200
    await service.score_all()
    assert judged(service, "fg_segment_errors_total", "medium") == 1


async def test_weights_may_name_it_but_policies_of_several_parents_are_not_mixed(service):
    assert (await service.ask({"prompt": "Say"}, weights="toxicity=1")).json()["profile"] == "gentle"
    refused = await service.ask({"prompt": "Say"}, weights="factuality=0.5,toxicity=0.5")
    assert (refused.status_code, refused.json()["error"]["param"]) == (404, "weights")
    message = refused.json()["error"]["message"]
    assert message.startswith("Only policies that share a parent can be mixed")
    assert "gentle from the base" in message


async def test_the_best_of_several_answers_to_a_prompt_is_chosen_where_the_weights_can_judge_it(service):
    body = {"prompt": "Say", "best_of": 3, "temperature": 1}
    reply = (await service.ask(body, profile="gentle")).json()
    assert reply["best_of"]["chosen"] is True
    assert list(reply["scores"]) == ["toxicity"]
    assert reply["text"].count("again") == min(
        range(3), key=lambda n: Scorer.load().toxicity.model.score(["The answer of gentle" + " again" * n + RUDE])[0]
    )
    refused = await service.ask(body, profile="medium")
    assert (refused.status_code, refused.json()["error"]["param"]) == (422, "best_of")
    assert "can only judge an answer to a question with passages" in refused.json()["error"]["message"]
