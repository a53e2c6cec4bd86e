"""A front on a tiny base: trained, merged and evaluated, to be continued, and spread over several calls."""

import dataclasses
import json

import pytest

from policies.store import SFT, Decoding, PolicyStore
from policies.weights import Weights
from rewards.dataset import SAMPLE, Example, Passage, load_examples
from rewards.errors import FgctlError
from rewards.models.judge import Judgement
from rewards.scorer import Scorer
from trainer.evaluation import evaluate
from trainer.experiments.front import front as module
from trainer.experiments.front.front import Front, Means, run_front
from trainer.experiments.front.methods import lattice, methods
from trainer.experiments.front.plot import draw_fronts
from trainer.experiments.front.results import results_of
from trainer.recipe import load_recipe
from trainer.rollouts.transformers import TransformersSampler
from trainer.sft import SftJob, train_sft

POINTS = lattice(1)


@pytest.fixture
def work(monkeypatch, write_policy):
    """Trainings that store a made-up adapter, and evaluations that pay what a policy's weights ask for."""
    trained, evaluated = [], []

    def train_policy(job, store, scorer):
        trained.append(job.profile)
        seed = sum(map(ord, job.profile))
        return write_policy(store, job.profile, seed, weights=str(job.weights), episodes=job.recipe.ppo.steps * 4)

    def evaluate_policies(candidates, examples, *_, **__):
        for candidate in candidates:
            evaluated.append(candidate.name)
            weights = candidate.weights.as_dict()
            reward = {name: [value + i / 10 for i in range(4)] for name, value in weights.items()}
            yield {
                "length": {"words": 50.0}, "copied": {"share": 0.2, "longest": 9},
                "per_question": {"reward": reward, "judge": {"reward": reward}},
            }  # fmt: skip

    monkeypatch.setattr(module, "train_policy", train_policy)
    monkeypatch.setattr(module, "evaluate_policies", evaluate_policies)
    monkeypatch.setattr(module, "is_complete", lambda path: path.is_file())
    monkeypatch.setattr(module, "own_store", lambda directory, parents: parents)
    monkeypatch.setattr(module, "policy_files", lambda *_: None)
    return trained, evaluated


@pytest.fixture
def means(tiny, tmp_path):
    passage = Passage(title="Ostra", text="By the Lind.")
    return Means(
        PolicyStore(tmp_path / "policies"),
        tiny,
        Scorer.load(),
        None,
        [Example(question="Where?", passages=(passage,), answer="x")],
    )


def front(directory, *families, seeds=1, budget=24, points=POINTS):
    return Front(
        tuple(methods(families, points, (0.7,))), tuple(points), budget, seeds, (-1.0, -1.0, -1.0), "smoke", (),
        SAMPLE / "train.json", directory,
    )  # fmt: skip


def test_every_method_has_the_same_budget(tmp_path):
    steps = {}
    for made in front(tmp_path, "morlhf", "soups", points=lattice(2)).methods:
        recipe = front(tmp_path, "morlhf", points=lattice(2)).recipe(made, 1)
        steps[made.name] = (len(made.arms), recipe.ppo.steps * recipe.ppo.episodes_per_step, recipe.ppo.seed)
    assert steps == {"morlhf": (6, 4, 1), "soups": (3, 8, 1)}


def test_calls_for_single_methods_add_up_to_the_whole(work, means, tmp_path):
    trained, evaluated = work
    first = run_front(front(tmp_path, "morlhf"), means)
    assert [row["method"] for row in first["methods"]] == ["morlhf"]
    assert trained == ["morlhf-0-0", "morlhf-1-0", "morlhf-2-0"]
    both = run_front(front(tmp_path, "bone-soups"), means)
    assert {row["method"] for row in both["methods"]} == {"morlhf", "bone-soups-0.7"}
    assert len(evaluated) == 6
    assert run_front(front(tmp_path, "morlhf", "bone-soups"), means) == both
    assert len(evaluated) == 6  # nothing is evaluated twice
    assert json.loads((tmp_path / "results.json").read_text()) == both
    assert "<svg" in draw_fronts(both, tmp_path / "front.svg").read_text()
    merged = next(row for row in both["methods"] if row["method"].startswith("bone"))
    assert merged["points"][0]["coefficients"]["bone-soups-0-7-relevance"] > 1
    assert merged["episodes"] == first["methods"][0]["episodes"] == 24


def test_a_method_counts_once_all_its_seeds_are_finished(work, means, tmp_path):
    run_front(front(tmp_path, "soups"), means)
    more = run_front(front(tmp_path, "morlhf", seeds=2), means)
    assert [row["method"] for row in more["methods"]] == ["morlhf"]
    assert len(more["methods"][0]["points"]) == 6


def test_a_directory_belongs_to_one_budget(work, means, tmp_path):
    run_front(front(tmp_path, "soups"), means)
    with pytest.raises(FgctlError, match="budget is 24, not 48"):
        run_front(front(tmp_path, "soups", budget=48), means)


class Judge:
    """Finds no error in anything."""

    version = "none"

    def judge(self, requests, progress):
        return [Judgement({"relevance": (False,), "factuality": (False,)}, 0.0) for _ in requests]


@pytest.mark.slow
def test_backbones_are_trained_and_their_merged_policies_answer(small, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate, "make_sampler", lambda backend, setting: TransformersSampler(setting.model))
    monkeypatch.setattr(module, "GREEDY", Decoding(temperature=0, top_p=1, max_tokens=8))
    settings = ("ppo.rollouts=transformers", "ppo.logprob_tolerance=1", "sft.lora.rank=8")
    parents = PolicyStore(tmp_path / "parents")
    job = SftJob(small[0], SAMPLE / "train.json", "smoke", load_recipe("smoke", settings), tmp_path / "sft")
    parents.promote(SFT, train_sft(job, parents).version)
    whole = front(tmp_path / "front", "bone-soups", budget=4)
    whole = dataclasses.replace(whole, overrides=settings)
    asked = load_examples(SAMPLE / "dev.json")[:2]
    means = Means(parents, small[0], Scorer.load(), Judge(), asked)
    results = run_front(whole, means)
    (row,) = results["methods"]
    assert (row["trainings"], row["episodes"]) == (3, 12)  # each takes a whole step
    assert len({point["version"] for point in row["points"]}) == 3
    assert sum(row["points"][0]["coefficients"].values()) == pytest.approx(1)
    assert min(row["points"][0]["coefficients"].values()) < 0
    assert row["hypervolume"]["value"] >= 0
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "front/points").iterdir()}
    assert run_front(whole, means) == results
    assert {path: path.stat().st_mtime_ns for path in written} == written


def finished(*fronts):
    """A method whose points earn these rewards on each of two questions."""
    categories = ("relevance", "factuality", "completeness")
    point = {"version": "v", "coefficients": {}, "words": 50.0, "copied": 0.1}
    return [
        {
            "seed": seed, "trainings": 3, "episodes": 24,
            "points": [
                point | {key: dict(zip(categories, map(list, rewards), strict=True)) for key in ("reward", "judge")}
                for rewards in points
            ],
        }
        for seed, points in enumerate(fronts)
    ]  # fmt: skip


def test_methods_are_ordered_by_hypervolume_and_compared_on_the_same_questions():
    low = [[(0.0, 0.0), (0.0, 0.0), (0.0, 0.0)]]
    high = [[(0.0, 2.0), (1.0, 1.0), (0.0, 0.0)]]
    results = results_of({"low": finished(low), "high": finished(high)}, [Weights.parse("1,0,0")], (-1.0, -1.0, -1.0))
    best, other = results["methods"]
    assert (results["best"], best["method"], other["method"]) == ("high", "high", "low")
    assert best["hypervolume"] == {"value": pytest.approx(4), "low": pytest.approx(2), "high": pytest.approx(6)}
    assert other["hypervolume"] == {"value": 1, "low": 1, "high": 1}
    assert best["not_above"] == {"reward": 0, "judge": 0}
    (difference,) = results["differences"]
    assert (difference["method"], difference["from"], difference["value"]) == ("low", "high", pytest.approx(-3))
    assert (difference["low"], difference["high"]) == (pytest.approx(-5), pytest.approx(-1))


def test_points_that_add_nothing_are_counted():
    points = [[(-1.0, 0.0), (0.0, 0.0), (0.0, 0.0)], [(-2.0, 0.0), (0.0, 0.0), (0.0, 0.0)]]
    (row,) = results_of({"m": finished(points)}, lattice(1)[:2], (-1.0, -1.0, -1.0))["methods"]
    assert row["not_above"] == {"reward": 1, "judge": 1}


def test_rank_agreement_and_figures_are_means_over_seeds():
    points = [Weights.parse("1,0,0"), Weights.parse("0,1,0")]
    as_asked = [[(1.0,), (0.0,), (0.0,)], [(0.0,), (1.0,), (0.0,)]]
    results = results_of({"m": finished(as_asked, as_asked[::-1])}, points, (-1.0, -1.0, -1.0))
    row = results["methods"][0]
    assert row["seeds"] == 2
    assert row["rank_agreement"]["categories"] == {"relevance": 0.5, "factuality": 0.5, "completeness": 0}
    assert row["hypervolume"]["value"] == pytest.approx(3)
    assert results_of({}, points, (-1.0, -1.0, -1.0))["best"] is None
