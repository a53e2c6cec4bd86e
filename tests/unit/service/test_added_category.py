"""A category that exists by configuration alone, in what the service says and counts."""

from dataclasses import replace

import pytest

from policies.weights import Weights
from rewards.categories import BUILT_IN, TOXICITY
from rewards.dataset import Passage
from rewards.errors import FgctlError
from rewards.scorer import Scorer
from rewards.scores import ScoreRequest
from rewards.traits.response_traits import response_traits
from service.app import create_app
from service.domain.roster import Roster
from service.domain.scored import ScoredCompletion
from service.metrics.metrics import Metrics
from service.scoring.worker import ScoringWorker
from service.settings import Settings

pytestmark = pytest.mark.anyio
LABELS = {"profile": "medium", "policy": "000000000002", "category": "shouting"}


@pytest.fixture
def service(shouting, starting):
    """The service of the other tests, judged by the real scorer in this process."""
    starting.start()
    scorer = Scorer.load()

    async def score(requests):
        scores = scorer.score_by_needs(requests)
        return [ScoredCompletion(*pair) for pair in zip(scores, map(response_traits, requests), strict=True)]

    starting.worker.score = score
    return starting


async def test_its_series_exist_before_the_first_answer_and_count_it(service):
    assert service.metric("fg_segments_scored_total", **LABELS) == 0
    answer = (await service.ask(profile="medium")).json()
    await service.score_all()
    assert service.metric("fg_segments_scored_total", **LABELS) == 1
    assert service.metric("fg_segment_errors_total", **LABELS) == 0
    text = (await service.client.get("/metrics")).text
    assert 'fg_reward_bucket{category="shouting",le="0.8",profile="medium"} 0.0' in text
    assert 'fg_reward_bucket{category="shouting",le="1.0",profile="medium"} 1.0' in text
    scores = (await service.client.get(f"/responses/{answer['id']}")).json()["scores"]
    assert list(scores) == ["relevance", "factuality", "completeness", "toxicity", "shouting"]
    assert scores["shouting"]["segments"][0]["end"] == len(answer["text"])


CHAT = {"model": "medium", "messages": [{"role": "user", "content": "Say it loud"}]}


@pytest.fixture
def needing_nothing(shouting):
    """The category's file, by which it judges any text."""
    shouting.write_text(shouting.read_text() + 'needs = "nothing"\n')


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_category_that_needs_only_the_text_judges_answers_without_passages(needing_nothing, service, stream):
    reply = await service.client.post("/v1/chat/completions", json=CHAT | {"stream": stream})
    assert reply.status_code == 200
    await service.ask({"prompt": "Say"}, profile="medium")
    await service.score_all()
    assert service.metric("fg_segments_scored_total", **LABELS) == 2
    judged = {"profile": "medium", "policy": "000000000002"}
    assert service.metric("fg_segments_scored_total", **judged, category="factuality") == 0
    unjudged = {**judged, "category": "factuality", "lacking": "passages"}
    assert service.metric("fg_answers_unjudged_total", **unjudged) == 2
    assert service.metric("fg_scoring_dropped_total", profile="medium", reason="no_passages") == 0
    assert service.metric("fg_out_of_domain_total", **judged) == 0


@pytest.mark.slow
async def test_the_scoring_process_judges_it(shouting):
    worker = ScoringWorker(None, shouting, 120)
    try:
        await worker.start()
        passages = (Passage(title="", text="It is here."),)
        (scored,) = await worker.score([ScoreRequest("Where?", passages, "HERE.")])
        assert scored.scores.categories["shouting"].rewards == (-1,)
        assert scored.traits.words == 1
    finally:
        worker.stop()


async def test_a_scorer_that_cannot_be_loaded_says_why(tmp_path):
    worker = ScoringWorker(tmp_path / "none.json", None, 120)
    try:
        with pytest.raises(FgctlError, match=r"none\.json does not exist"):
            await worker.start()
    finally:
        worker.stop()


def test_a_wrong_file_stops_the_service_before_anything_loads(shouting):
    shouting.write_text("[category.relevance]\n")
    with pytest.raises(FgctlError, match=r"categories\.toml"):
        create_app(Settings())


def test_settings_may_name_the_file_instead_of_the_environment(shouting, monkeypatch):
    monkeypatch.delenv("FGCTL_CATEGORIES")
    assert list(create_app(Settings(categories=shouting)).state.backend.categories) == [*BUILT_IN, TOXICITY, "shouting"]


def test_an_empty_variable_names_no_file(monkeypatch):
    monkeypatch.setenv("FGCTL_CATEGORIES", "")
    assert Settings().categories is None
    assert create_app(Settings()).state.backend.categories.keys() == {*BUILT_IN, TOXICITY}


async def test_baselines_of_categories_that_are_not_in_use_are_left_out(service):
    policy = service.backend.roster.served["medium"]
    policy.manifest.scores.update(rewards="r1", error_ratio={"shouting": 0.5, "factuality": 0.2})
    metrics = Metrics()
    metrics.quality.rewards = "r1"
    metrics.announce([policy], {"factuality": BUILT_IN["factuality"]})
    text = metrics.exposition()[0].decode()
    assert 'baseline_error_ratio{category="factuality"' in text
    assert "shouting" not in text


async def test_a_request_may_weigh_it_by_name(service):
    mine = Weights.parse("relevance=0.5,shouting=0.5", service.backend.categories)
    medium = replace(service.backend.roster.served["medium"], weights=mine)
    service.resolver.roster = Roster({"medium": medium})
    reply = (await service.ask(weights="shouting=0.5,relevance=0.5")).json()
    assert reply["weights"] == {"relevance": 0.5, "factuality": 0, "completeness": 0, "shouting": 0.5}
    refused = (await service.ask(weights="manners=1")).json()["error"]
    assert "'manners', which is not a category in use" in refused["message"]
    assert "relevance, factuality, completeness, toxicity and shouting" in refused["message"]
