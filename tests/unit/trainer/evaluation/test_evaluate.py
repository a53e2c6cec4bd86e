"""An evaluation from stored policies to reports, on a tiny base."""

import json
from math import exp

import pytest
import torch

from policies.manifest import Named, Versioned
from policies.store import ADAPTER, SFT, Decoding, PolicyStore
from policies.trunk import trunk_of
from policies.weights import Weights
from rewards.dataset import Example, Passage, file_digest, questions_digest
from rewards.errors import FgctlError
from rewards.scorer import Scorer
from rewards.scores import ScoreRequest
from trainer import policy_model
from trainer.evaluation import evaluate
from trainer.evaluation.answers import silent
from trainer.evaluation.candidates import candidate, supervised_first
from trainer.evaluation.evaluate import evaluate_policies
from trainer.evaluation.perplexity import base_nll
from trainer.policy_model import PolicyModel
from trainer.recipe import LoraRecipe
from trainer.rollouts.transformers import TransformersSampler

GREEDY = Decoding(temperature=0, top_p=1, max_tokens=12)
WEIGHTS = Weights.parse("0.3,0.5,0.2")
FALLBACK = Weights.parse("1,1,1")
QUESTIONS = ("Where is Ostra?", "Who found it?", "When?")


@pytest.fixture
def store(tiny, tiny_model, tmp_path):
    """A parent that is the base itself, and two versions of a policy, the latter current."""
    store = PolicyStore(tmp_path / "policies")
    for seed, (profile, strength) in enumerate(((SFT, 0.0), ("medium", 0.5), ("medium", 1.0))):
        adapter = tmp_path / str(seed)
        tiny_model(strength, seed).save_adapter(adapter)
        lineage = {"parent": None, "recipe": {}, "data": (), "rewards": None, "steps": 0, "episodes": 0, "scores": {}}
        shaped = {"weights": None if profile == SFT else WEIGHTS}
        base = {"base": Named(name=tiny.name, digest=tiny.digest)}
        store.promote(profile, store.write(profile, adapter, lineage | shaped | base).version)
    return store


def reports(store, tiny, monkeypatch, *names, decoding=GREEDY, samples=1, progress=silent, **how):
    monkeypatch.setattr(evaluate, "make_sampler", lambda backend, setting: TransformersSampler(setting.model))
    examples = [
        Example(question=q, passages=(Passage(title="Ostra", text="By the Lind."),), answer="It is.") for q in QUESTIONS
    ]
    candidates = [candidate(store, name, FALLBACK, tiny) for name in names]
    reports = list(
        evaluate_policies(
            candidates, examples, tiny, Scorer.load(), decoding, 256, samples=samples, progress=progress, **how
        )
    )
    assert json.loads(json.dumps(reports)) == reports
    return reports


def test_reports_compare_policies_question_by_question(store, tiny, monkeypatch):
    current = store.profile("medium").version
    (earlier,) = {*store.versions("medium")} - {current}
    parent, base, first, second = reports(store, tiny, monkeypatch, SFT, "base", f"medium@{earlier}", "medium")
    assert (first["version"], second["version"]) == (earlier, current)
    assert first["weights"] == second["weights"] == pytest.approx(WEIGHTS.as_dict(), abs=1e-6)
    assert parent["weights"] == FALLBACK.as_dict()
    assert parent["questions"] == second["questions"] == questions_digest(QUESTIONS)
    assert parent["decoding"] == {"temperature": 0, "top_p": 1, "max_tokens": 12}
    assert (parent["against"], parent["pairs"]) == (None, [])
    assert (base["against"]["profile"], base["pairs"]) == (SFT, [])
    assert all(
        difference["difference"] == difference["low"] == difference["high"] == 0
        for difference in base["against"]["differences"].values()
    )
    assert [difference["version"] for difference in second["pairs"]] == [base["version"], earlier]
    assert second["per_question"]["nll"] != first["per_question"]["nll"] != parent["per_question"]["nll"]
    assert second["against"]["differences"]["perplexity"]["difference"] == pytest.approx(
        second["perplexity"] - parent["perplexity"], rel=1e-3
    )


def test_same_answers_and_references_stand_beside_each_report(store, tiny, monkeypatch):
    lines = []
    monkeypatch.setattr(evaluate, "TOGETHER", 2)
    parent, base, policy = reports(
        store, tiny, monkeypatch, SFT, "base", "medium", progress=lambda *line: lines.append(line)
    )
    assert parent["same_answers"] == {}
    assert base["same_answers"] == {"sft": 1}
    assert policy["same_answers"].keys() == {"sft", "base"}
    assert policy["same_answers"]["base"] == policy["pairs"][0]["same_answers"]["share"]
    answers = [report["per_question"]["answer"] for report in (parent, base, policy)]
    assert answers[0] == answers[1]
    assert policy["same_answers"]["sft"] == sum(a == b for a, b in zip(answers[0], answers[2], strict=True)) / 3
    assert base["references"] == parent["references"]  # by the same weights
    assert policy["references"]["length"]["words"] == 2
    assert policy["references"]["copied"] == {"share": 0, "longest": 0}
    assert policy["references"]["weighted_reward"] != parent["references"]["weighted_reward"]
    assert lines[:2] == [("sft: answering", 0, 3), ("sft: answering", 3, 3)]
    assert {what for what, done, total in lines if done == total} == {
        "sft: answering", "base: answering", "medium: answering", "scoring", "perplexity",
    }  # fmt: skip


def test_perplexity_is_computed_only_if_asked_for(store, tiny, monkeypatch):
    monkeypatch.setattr(evaluate, "base_nll", None)
    lines = []
    _, policy = reports(
        store, tiny, monkeypatch, SFT, "medium", progress=lambda what, *_: lines.append(what), perplexity=False
    )
    assert "perplexity" not in lines
    assert policy["perplexity"] is policy["per_question"]["nll"] is None
    assert "perplexity" not in policy["intervals"]
    assert "perplexity" not in policy["against"]["differences"]
    assert "length.words" in policy["against"]["differences"]


def test_answers_to_the_same_question_are_scored_in_the_same_call(monkeypatch):
    monkeypatch.setattr(evaluate, "SCORED_TOGETHER", 4)
    calls = []

    class Scored:
        def score(self, requests):
            calls.append([request.question for request in requests])
            return [request.response for request in requests]

    texts = [[ScoreRequest(q, (), f"{who} {q}") for q in ("A", "B", "C")] for who in ("x", "y")]
    assert evaluate._scores(Scored(), texts, silent) == [["x A", "x B", "x C"], ["y A", "y B", "y C"]]
    assert calls == [["A", "A", "B", "B"], ["C", "C"]]
    assert evaluate._scores(Scored(), [[], []], silent) == [[], []]


def test_figures_follow_from_the_values_by_question(store, tiny, monkeypatch):
    (report,) = reports(store, tiny, monkeypatch, "medium")
    per_question = report["per_question"]
    assert {len(values) for values in per_question.values() if isinstance(values, list)} == {3}
    assert report["length"]["words"] == pytest.approx(sum(per_question["words"]) / 3)
    assert report["length"]["tokens"] == pytest.approx(
        (sum(per_question["nll_tokens"]) + 3 - sum(per_question["truncated"])) / 3
    )
    assert report["weighted_reward"] == pytest.approx(sum(per_question["weighted_reward"]) / 3, abs=1e-4)
    earned = [sum(WEIGHTS[c] * per_question["reward"][c][i] for c in per_question["reward"]) for i in range(3)]
    assert per_question["weighted_reward"] == pytest.approx(earned, abs=2e-4)
    for category, rate in report["clean_rate"].items():
        assert rate == pytest.approx(
            1 - sum(per_question["errors"][category]) / sum(per_question["segments"][category])
        )
    nll = sum(mean * n for mean, n in zip(per_question["nll"], per_question["nll_tokens"], strict=True))
    assert report["perplexity"] == pytest.approx(exp(nll / sum(per_question["nll_tokens"])), rel=1e-3)
    assert report["against"] is None
    assert report["judge"] is per_question["judge"] is None
    assert all(low <= high for low, high in report["intervals"].values())


def test_greedy_answers_are_the_same_twice_and_sampled_ones_differ(store, tiny, monkeypatch):
    once, again = (reports(store, tiny, monkeypatch, "medium")[0] for _ in range(2))
    assert once == again
    assert (once["samples"], once["served"]) == (1, None)
    (sampled,) = reports(store, tiny, monkeypatch, "medium", decoding=Decoding(max_tokens=12))
    assert sampled["per_question"]["nll"] != once["per_question"]["nll"]


def test_each_is_sampled_as_it_is_served(store, tiny, monkeypatch):
    with (store.root / "profiles.toml").open("a") as file:
        file.write("\n[medium.decoding]\ntemperature = 0.3\nmax_tokens = 5\n")
    parent, policy = reports(store, tiny, monkeypatch, SFT, "medium", decoding=None, samples=2)
    assert parent["decoding"] == Decoding().model_dump()
    assert policy["decoding"] == {"temperature": 0.3, "top_p": 0.9, "max_tokens": 5}
    for report in (parent, policy):
        assert (report["n"], report["samples"], report["questions"]) == (3, 2, questions_digest(QUESTIONS))
        assert {len(values) for values in report["per_question"].values() if isinstance(values, list)} == {3}
    served = policy["served"]
    assert (served["decoding"], served["rewards"], served["responses"]) == (policy["decoding"], policy["rewards"], 6)
    assert served["words"] == pytest.approx(policy["length"]["words"])
    assert served["error_ratio"] == pytest.approx(policy["error_ratio"])
    assert served["truncated"] == policy["truncated"]
    assert served["input_ratio"]["passages"]["1"] == 1
    assert policy["pairs"] == []
    assert policy["against"]["profile"] == SFT


def test_where_the_most_likely_token_is_served_there_is_one_sample(store, tiny, monkeypatch):
    with (store.root / "profiles.toml").open("a") as file:
        file.write("\n[medium.decoding]\ntemperature = 0\nmax_tokens = 5\n")
    (report,) = reports(store, tiny, monkeypatch, "medium", decoding=None, samples=2)
    assert (report["samples"], report["served"]["responses"]) == (1, 3)


def test_the_trunk_is_the_merged_parent_and_the_base_judges_what_is_natural(
    tiny, tiny_parents, trunk_store, write_adapter, monkeypatch
):
    """Base, parent, a policy on the trunk and an older one on the base: one sampler answers for all.

    In float32, in which the merged parent and its adapter choose the same tokens.
    """
    monkeypatch.setattr(policy_model, "compute_dtype", lambda: torch.float32)
    parent = trunk_store.profile(SFT).version
    trunk = trunk_of(tiny, trunk_store)
    digest = file_digest(trunk_store.path(SFT, parent) / ADAPTER)
    lineage = {"parent": Versioned(version=parent, digest=digest)}
    new = write_adapter(trunk_store, "medium", tiny_parents[1], trunk, "1,1,1", **lineage).version
    old = write_adapter(trunk_store, "short", tiny_parents[0], tiny, "1,1,1").version
    measured = []

    def measure(model, prompts, responses, progress):
        measured.append(((prompts, responses), base_nll(model, prompts, responses)))
        return measured[-1][1]

    monkeypatch.setattr(evaluate, "base_nll", measure)
    names = ("base", SFT, f"medium@{new}", f"short@{old}")
    answered = reports(trunk_store, tiny, monkeypatch, *names)
    assert [report["profile"] for report in answered] == ["base", SFT, "medium", "short"]
    ((asked, nll),) = measured  # all policies in one call
    assert nll == pytest.approx(base_nll(PolicyModel(tiny, LoraRecipe(top_layers=1)), *asked))
    texts = [tuple(response) for response in asked[1]]
    answers = [texts[i : i + 3] for i in range(0, 12, 3)]
    assert len({tuple(each) for each in answers[:3]}) == 3
    # The parent merged, and the same adapter on the base, answer alike.
    assert answers[1] == answers[3]
    (alone,) = reports(trunk_store, tiny, monkeypatch, f"{SFT}@{parent}")
    assert alone["per_question"]["nll"] == pytest.approx(answered[1]["per_question"]["nll"], abs=2e-4)


def test_candidates_are_named_by_profile_and_version(store, tiny):
    with pytest.raises(FgctlError, match="stored versions"):
        candidate(store, "medium@000000000000", FALLBACK, tiny)
    with pytest.raises(FgctlError, match="not a name"):
        candidate(store, "medium@../..", FALLBACK, tiny)
    assert supervised_first(["short", "sft@1", "base", "sft"]) == ["sft@1", "sft", "short", "base"]
