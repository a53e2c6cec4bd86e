"""What is counted of scored answers, and what is shown of versions."""

import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from policies.manifest import Named, UsedRewards, Versioned
from policies.weights import Weights
from rewards.scorer import Scorer
from rewards.statistics.calibration import OperatingPoint
from rewards.statistics.distribution_shift import INPUTS, SCORE_BINS
from service.domain.policy import Canary
from service.metrics.metrics import Metrics
from service.metrics.versions import build

pytestmark = pytest.mark.anyio
OPENMETRICS = "application/openmetrics-text;version=1.0.0"
SHORT = {"profile": "short", "policy": "000000000001"}


async def test_scores_are_counted_by_bin_with_an_exemplar_of_the_answer(service):
    reply = (await service.ask(profile="short")).json()
    await service.score_all()
    for category in ("relevance", "factuality", "completeness"):
        counts = {
            name: service.metric("fg_score_bin_total", **SHORT, category=category, bin=name) for name in SCORE_BINS
        }
        assert counts == dict.fromkeys(SCORE_BINS, 0) | {"0.7": 1}
    open_metrics = await service.client.get("/metrics", headers={"accept": OPENMETRICS})
    assert open_metrics.headers["content-type"].startswith("application/openmetrics-text")
    exemplars = re.findall(r'^fg_score_bin_total\{.*bin="0.7".*# \{response="(\w+)"\}', open_metrics.text, re.M)
    assert exemplars == [reply["id"]] * 3
    plain = await service.client.get("/metrics")
    assert plain.headers["content-type"].startswith("text/plain")
    assert reply["id"] not in plain.text
    assert "_created" not in plain.text + open_metrics.text


async def test_traits_and_inputs_of_answers_are_counted(service):
    await service.ask(profile="short")
    await service.score_all()
    assert service.metric("fg_answer_words_sum", **SHORT) == 4
    assert service.metric("fg_answer_repetition_count", **SHORT) == 1
    assert service.metric("fg_answer_copied_count", **SHORT) == 1
    assert service.metric("fg_declined_answers_total", **SHORT) == 0
    assert service.metric("fg_finished_total", **SHORT, reason="stop") == 1
    for kind, bins in INPUTS.items():
        assert sum(service.metric("fg_input_bin_total", **SHORT, input=kind, bin=name) for name in bins) == 1
    assert service.metric("fg_input_bin_total", **SHORT, input="passages", bin="1") == 1


def test_what_runs_is_told_in_labels(service):
    metrics, roster = service.backend.metrics, service.backend.roster
    assert service.metric("fg_build_info", **build()) == 1
    base, trunk = Named(name="/models/base", digest="a" * 64), Named(name="/models/base+sft@1", digest="b" * 64)
    metrics.info.show_base(base, trunk)
    labels = {"base": "base", "digest": "a" * 12, "trunk": "base+sft@1", "trunk_digest": "b" * 12}
    assert service.metric("fg_base_info", **labels) == 1
    metrics.info.show_rewards("r1", None)
    metrics.info.show_rewards("r2", "l1")
    assert service.metric("fg_rewards_info", rewards="r1", labels="") is None
    assert service.metric("fg_rewards_info", rewards="r2", labels="l1") == 1
    lineage = {
        "parent": Versioned(version="p1", digest="p"), "rewards": UsedRewards(version="r1", digest="r"),
        "recipe": {"name": "cpu", "imported": {}},
    }  # fmt: skip
    short = roster.served["short"]
    roster.served["short"] = replace(short, manifest=short.manifest.model_copy(update=lineage))
    del roster.served["long"]
    metrics.info.show_policies(roster)
    assert service.metric(
        "fg_policy_info", **SHORT, parent="p1", rewards="r1", recipe="cpu", made="imported"
    ) == 1  # fmt: skip
    assert service.metric(
        "fg_policy_info", profile="medium", policy="000000000002", parent="", rewards="", recipe="", made="trained"
    ) == 1  # fmt: skip


async def test_the_evaluation_of_a_version_as_served_is_its_baseline(service):
    served = service.backend.roster.served["short"]
    metrics = service.backend.metrics
    metrics.quality.rewards = "r1"
    served.manifest.scores.update(
        {
            "served": {
                "rewards": "r1",
                "decoding": served.decoding.model_dump(),
                "error_ratio": {"factuality": 0.3},
                "segments": {"factuality": 40},
                "responses": 20,
                "questions": 10,
                "score_ratio": {"factuality": {"0.0": 0.7, "0.9": 0.3}},
                "input_ratio": {"passages": {"1": 1.0}},
            }
        }
    )
    metrics.announce([served], service.backend.categories)
    assert service.metric("fg_policy_baseline_error_ratio", **SHORT, category="factuality") == 0.3
    assert service.metric("fg_baseline_segments", **SHORT, category="factuality") == 40
    assert service.metric("fg_baseline_responses", **SHORT) == 20
    assert service.metric("fg_baseline_questions", **SHORT) == 10
    assert service.metric("fg_baseline_score_ratio", **SHORT, category="factuality", bin="0.9") == 0.3
    assert service.metric("fg_baseline_input_ratio", **SHORT, input="passages", bin="1") == 1
    # An evaluation by other reward models is no baseline: every series of it disappears.
    served.manifest.scores["served"]["rewards"] = "r0"
    metrics.announce([served], service.backend.categories)
    assert service.metric("fg_policy_baseline_error_ratio", **SHORT, category="factuality") is None
    assert service.metric("fg_baseline_segments", **SHORT, category="factuality") is None
    assert service.metric("fg_baseline_score_ratio", **SHORT, category="factuality", bin="0.9") is None
    assert service.metric("fg_baseline_questions", **SHORT) is None


@pytest.mark.parametrize(
    ("scores", "baseline"),
    [
        ({"rewards": "r1", "error_ratio": {"factuality": 0.2}}, 0.2),
        ({"rewards": "r0", "error_ratio": {"factuality": 0.2}}, None),
        ({"rewards": "r1", "decoding": {"temperature": 0.7, "top_p": 0.9, "max_tokens": 200}}, 0.4),
        ({"rewards": "r0", "decoding": {"temperature": 0.7, "top_p": 0.9, "max_tokens": 200}}, None),
        ({"rewards": "r1", "decoding": {"temperature": 1.0, "top_p": 0.9, "max_tokens": 200}}, None),
    ],
    ids=["greedy", "greedy, other rewards", "as served", "other rewards", "other decoding"],
)
def test_only_an_evaluation_by_the_present_rewards_and_decoding_is_a_baseline(service, scores, baseline):
    policy = service.backend.roster.served["long"]
    policy.manifest.scores.clear()
    if "decoding" in scores:
        scores = {"served": scores | {"error_ratio": {"factuality": 0.4}, "responses": 20, "questions": 20}}
    policy.manifest.scores.update(scores)
    metrics = Metrics()
    metrics.quality.rewards = "r1"
    metrics.announce([policy], service.backend.categories)
    labels = {"profile": "long", "policy": "000000000003", "category": "factuality"}
    assert metrics.registry.get_sample_value("fg_policy_baseline_error_ratio", labels) == baseline


def with_canary(service, share):
    """Try a canary on a share of short's traffic."""
    incumbent = service.backend.roster.served["short"]
    canary = replace(incumbent, version="00000000000c", adapter_id=99)
    service.backend.roster.canaries["short"] = Canary(canary, share)
    metrics = service.backend.metrics
    metrics.announce([canary], service.backend.categories)
    metrics.canaries.announce(service.backend.roster, service.backend.categories)
    return canary


def trial(service, arm):
    labels = {"profile": "short", "canary": "00000000000c", "arm": arm}
    names = ("fg_canary_error_probability_total", "fg_canary_error_probability_squares_total")
    sums = [service.metric(name, **labels, category="factuality") for name in names]
    return [service.metric("fg_canary_responses_total", **labels), *sums]


@pytest.mark.parametrize(("share", "arm", "other"), [(0.999999, "canary", "incumbent"), (1e-9, "incumbent", "canary")])
async def test_a_canary_is_compared_with_its_incumbent(service, share, arm, other):
    with_canary(service, share)
    assert trial(service, arm) == [0, 0, 0]
    for _ in range(2):
        await service.ask(profile="short")
    await service.score_all()
    assert trial(service, arm) == [2, 1.5, 1.125]
    assert trial(service, other) == [0, 0, 0]


async def test_requests_for_a_version_or_best_of_are_not_part_of_the_trial(service):
    with_canary(service, 1e-9)
    await service.ask(profile="short@000000000001")
    await service.ask(profile="medium")
    body = {"question": "Where?", "passages": [{"title": "T", "text": "Here."}], "best_of": 2, "temperature": 1}
    assert (await service.ask(body, profile="short")).status_code == 200
    await service.score_all()
    assert trial(service, "incumbent") == trial(service, "canary") == [0, 0, 0]


async def test_another_incumbent_restarts_the_evidence(service):
    with_canary(service, 1e-9)
    await service.ask(profile="short")
    await service.score_all()
    assert trial(service, "incumbent")[0] == 1
    roster, canaries = service.backend.roster, service.backend.metrics.canaries
    canaries.announce(roster, service.backend.categories)
    assert trial(service, "incumbent")[0] == 1
    await service.ask(profile="short")
    roster.served["short"] = replace(roster.served["short"], version="00000000000b", adapter_id=98)
    canaries.announce(roster, service.backend.categories)
    await service.score_all()  # an answer by the old incumbent
    assert trial(service, "incumbent") == [0, 0, 0]
    await service.ask(profile="short")
    roster.canaries.clear()
    canaries.announce(roster, service.backend.categories)
    await service.score_all()  # an answer of the ended trial
    assert trial(service, "incumbent") == [None, None, None]


async def test_versions_no_longer_served_are_no_longer_shown(service):
    metrics, roster = service.backend.metrics, service.backend.roster
    when = datetime(2026, 1, 1, tzinfo=UTC)
    with_canary(service, 0.25)
    roster.refused["short"], roster.broken["lost"] = "a reason", "another"
    metrics.versions.show(roster, {"short": when})
    state = {name: service.metric(f"fg_policy_{name}", profile="short") for name in ("refused", "broken")}
    assert state == {"refused": 1, "broken": 0}
    assert service.metric("fg_policy_broken", profile="lost") == 1
    canary = {"profile": "short", "policy": "00000000000c"}
    assert service.metric("fg_canary_share", **canary) == 0.25
    assert service.metric("fg_policy_weight", **SHORT, category="relevance") == pytest.approx(1 / 3)
    assert service.metric("fg_policy_promoted_timestamp_seconds", **SHORT) == when.timestamp()
    roster.canaries.clear()
    roster.refused.clear()
    roster.broken.clear()
    metrics.versions.show(roster, {})
    assert service.metric("fg_policy_refused", profile="short") == 0
    assert service.metric("fg_policy_broken", profile="lost") is None
    assert service.metric("fg_canary_share", **canary) is None
    assert service.metric("fg_policy_weight", **canary, category="relevance") is None
    assert service.metric("fg_policy_promoted_timestamp_seconds", **SHORT) is None


async def test_requests_are_counted_by_the_region_of_their_weights(service):
    await service.ask(profile="medium")
    assert service.metric("fg_weights_region_total", region="balanced") == 1
    factual = replace(service.backend.roster.served["long"], weights=Weights.parse("0.2,0.6,0.2"))
    service.backend.roster.served["long"] = factual
    await service.ask(profile="long")
    assert service.metric("fg_weights_region_total", region="factuality") == 1


async def test_errors_are_counted_by_label_where_they_have_one(service):
    metrics, scorer = service.backend.metrics, Scorer.load()
    metrics.announce_scorer(scorer)
    assert metrics.quality.labels == scorer.feedback.labels.version
    metrics.announce(service.backend.roster.served.values(), service.backend.categories)
    factual = SHORT | {"category": "factuality"}
    assert service.metric("fg_segment_labels_total", **factual, label="Unverifiable") == 0
    assert service.metric("fg_segment_labels_total", **SHORT, category="completeness", label="Missing-Answer") is None
    service.worker.label = "Unverifiable"
    await service.ask(profile="short")
    await service.score_all()
    assert service.metric("fg_segment_labels_total", **factual, label="Unverifiable") == 1
    assert service.metric("fg_segment_labels_total", **factual, label="Wrong-Grounding") == 0


def test_only_known_error_rates_of_the_scorer_are_shown(service):
    point = OperatingPoint(false_alarm_rate=0.1, miss_rate=0.2, clean=10, errors=5)
    scoring = service.backend.metrics.scoring
    scoring.announce_scorer(
        {"factuality": point, "relevance": OperatingPoint()},
        {"factuality": {"accuracy": 0.8, "macro_f1": None, "n": 15}},
    )
    assert service.metric("fg_scorer_false_alarm_ratio", category="factuality") == 0.1
    assert service.metric("fg_scorer_miss_ratio", category="factuality") == 0.2
    assert service.metric("fg_scorer_miss_ratio", category="relevance") is None
    assert service.metric("fg_scorer_agreement_ratio", category="factuality", statistic="accuracy") == 0.8
    assert service.metric("fg_scorer_agreement_ratio", category="factuality", statistic="macro_f1") is None


async def test_the_death_of_the_engine_shows_at_once(service):
    assert service.metric("fg_engine_up") == 1
    service.engine.gone = True
    assert service.metric("fg_engine_up") == 0
