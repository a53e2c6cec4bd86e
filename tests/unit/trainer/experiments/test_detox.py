"""The experiment on a base of three narrow layers, interrupted and continued; and its summary."""

import json

import pytest

from policies.weights import Weights
from rewards.dataset import SAMPLE, Example
from trainer.evaluation import continuations as module
from trainer.evaluation.continuations import Opinions
from trainer.experiments import detox as experiments
from trainer.experiments.arms import holistic
from trainer.experiments.detox import FIGURES, draw_detox, held_out_sample, run_detox, summarise_detox
from trainer.experiments.experiment import Experiment
from trainer.rollouts.choose_sampler import make_sampler
from trainer.tasks.detox import TASK, WEIGHTS

OVERRIDES = (
    "ppo.rollouts=transformers", "ppo.logprob_tolerance=1", "lora.top_layers=2", "ppo.prompts_per_step=2",
    "ppo.samples_per_prompt=2", "ppo.max_new_tokens=6",
)  # fmt: skip


def report(toxicity, perplexity=10.0, dist_3=0.5):
    values = dict.fromkeys(FIGURES, toxicity) | {"perplexity": perplexity, "dist_3": dist_3}
    return values | {"intervals": {name: [value, value] for name, value in values.items()}}


def run(arm, toxicity, curve, **figures):
    steps = [
        {"episodes": 10 * (i + 1), "reward": -value, "toxicity": value, "perplexity": 9.0}
        for i, value in enumerate(curve)
    ]
    return {"arm": arm, "seed": 0, "episodes": steps[-1]["episodes"], "curve": steps,
            "evaluation": report(toxicity, **figures)}  # fmt: skip


def results(fine, whole):
    return {
        "kind": "detox",
        "fluency": "trunk",
        "weights": {"toxicity": 1.0},
        "base": report(0.2),
        "runs": [fine, whole],
    }


def test_goals_compare_with_the_base_and_with_the_baseline():
    fine = run("fine-grained", 0.1, [0.5, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1], perplexity=10.5, dist_3=0.47)
    whole = run("holistic", 0.15, [0.5] * 8)
    summary = summarise_detox(results(fine, whole))
    assert [row["arm"] for row in summary["arms"]] == ["base", "fine-grained", "holistic"]
    goals = {name: (pytest.approx(goal["value"]), goal["met"]) for name, goal in summary["goals"].items()}
    assert goals == {
        "max_toxicity": (0.5, True), "below_holistic": (0.05, True), "share_of_episodes": (0.125, True),
        "perplexity": (1.05, True), "dist_3": (-0.03, False),
    }  # fmt: skip


def test_a_level_that_is_never_reached_misses_its_goal():
    summary = summarise_detox(results(run("fine-grained", 0.2, [0.5] * 6), run("holistic", 0.1, [0.5, 0.1, 0.1] * 2)))
    assert summary["goals"]["share_of_episodes"] == {"value": None, "met": False}
    assert not summary["goals"]["below_holistic"]["met"]


def test_the_sample_of_prompts_does_not_depend_on_their_order():
    examples = [Example(question=f"Once {i}", passages=(), answer="") for i in range(9)]
    assert held_out_sample(examples, 4) == held_out_sample(examples[::-1], 4)


def test_an_interrupted_experiment_goes_on_and_compares_both_arms_with_the_base(small, tmp_path, monkeypatch):
    monkeypatch.setenv("FGCTL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "make_sampler", lambda backend, setting: make_sampler("transformers", setting))
    base, scorer = small[0], TASK.load_scorer(None)
    weights = Weights.parse(WEIGHTS, scorer.categories)
    experiment = Experiment(
        "detox", holistic(weights), weights, 1, "detox", OVERRIDES, 8, SAMPLE / "realtoxicityprompts.jsonl",
        tmp_path / "out",
    )  # fmt: skip
    held_out = held_out_sample(TASK.held_out_examples(experiment.data), 2)
    task_of_few_tokens = type("Few", (type(TASK),), {"decoding": TASK.decoding.model_copy(update={"max_tokens": 6})})()
    common = (experiment, task_of_few_tokens, base, scorer, Opinions(scorer.model, scorer.model), base, held_out, 4)
    trained = []

    def stop_before_the_second(job, *others):
        trained.append(job.profile)
        if len(trained) == 2:
            raise KeyboardInterrupt
        return train(job, *others)

    train = experiments.train_policy
    monkeypatch.setattr(experiments, "train_policy", stop_before_the_second)
    with pytest.raises(KeyboardInterrupt):
        run_detox(*common)
    first = json.loads((tmp_path / "out" / "results.json").read_text())
    results = run_detox(*common)
    assert trained[:2] == ["fine-grained-0", "holistic-0"]
    assert results["runs"][0] == first["runs"][0]
    assert [(r["arm"], r["episodes"], len(r["curve"])) for r in results["runs"]] == [
        ("fine-grained", 8, 2), ("holistic", 8, 2),
    ]  # fmt: skip
    assert all(0 <= step["toxicity"] <= 1 and step["perplexity"] >= 1 for r in results["runs"] for step in r["curve"])
    assert {row["arm"] for row in summarise_detox(results)["arms"]} == {"base", "fine-grained", "holistic"}
    assert draw_detox(results, tmp_path / "curves.svg").read_text().startswith("<?xml")
