import json

import numpy as np
import pytest

from policies.mixing import anchors, mixture_for
from policies.store import PolicyStore
from policies.weights import Weights
from rewards.errors import FgctlError
from trainer.experiments.arms import ablations, customisations, holistic
from trainer.experiments.experiment import Experiment, curve, validation_curve
from trainer.experiments.mixing import draw_weights, with_expected
from trainer.experiments.plots import draw, draw_mixing
from trainer.experiments.summary import FIGURES, ahead, catches_up, ending, half_width, smooth, summarise
from trainer.recipe import load_recipe
from trainer.validation.evaluation import Evaluation

WEIGHTS = Weights.parse("0.3,0.5,0.3")


def run(arm, rewards, seed=0, words=90.0, validation=()):
    steps = [
        {"episodes": 48 * (k + 1), "reward": r, "relevance": r, "factuality": 0.0, "completeness": 0.0, "tokens": 100.0,
         "kl": 1.0}
        for k, r in enumerate(rewards)
    ]  # fmt: skip
    rates = {"clean_rate": {"relevance": 0.5, "factuality": 0.7}, "completeness": 0.1}
    evaluation = {
        "length": {"words": words},
        "weighted_reward": -0.2,
        "rouge_lsum": 33.0,
        "repetition": 0.1,
        "copied": {"share": 0.3, "longest": 14.0},
    }
    return {
        "arm": arm, "seed": seed, "trained_by": WEIGHTS.as_dict(), "episodes": steps[-1]["episodes"], "curve": steps,
        "validation": list(validation),
        "evaluation": evaluation | rates | {"judge": rates},
    }  # fmt: skip


def results(*runs, kind="holistic"):
    return {"kind": kind, "weights": WEIGHTS.as_dict(), "runs": list(runs)}


def test_arms_differ_in_one_thing():
    assert [(arm.name, arm.weights, arm.overrides) for arm in holistic(WEIGHTS)] == [
        ("fine-grained", WEIGHTS, ()),
        ("holistic", WEIGHTS, ("ppo.objective=holistic",)),
    ]
    whole, *without = ablations(WEIGHTS)
    assert (whole.name, whole.weights) == ("all", WEIGHTS)
    assert [arm.name for arm in without] == ["without-relevance", "without-factuality", "without-completeness"]
    assert without[0].weights.as_dict() == pytest.approx({"relevance": 0, "factuality": 5 / 8, "completeness": 3 / 8})
    with pytest.raises(FgctlError, match="leaves nothing"):
        ablations(Weights.parse("1,0,0"))
    assert [arm.weights for arm in customisations([WEIGHTS])] == [WEIGHTS]


def test_every_run_has_the_budget_and_its_seed(tmp_path):
    arms = holistic(WEIGHTS)
    experiment = Experiment("holistic", arms, WEIGHTS, 2, "smoke", (), 9, tmp_path / "train.json", tmp_path)
    assert [(arm.name, seed) for arm, seed in experiment.runs()] == [
        ("fine-grained", 0), ("holistic", 0), ("fine-grained", 1), ("holistic", 1),
    ]  # fmt: skip
    ppo = experiment.recipe(arms[1], 1).ppo
    assert (ppo.steps, ppo.seed, ppo.objective) == (3, 1, "holistic")  # 9 episodes are 3 steps of 4


def test_a_curve_is_the_log_by_the_experiments_weights(tmp_path):
    logged = {"step": 1, "length/tokens": 80.0, "kl/response": 2.0, "reward/weighted_segment": 0.0}
    for name, value in (("relevance", 1.0), ("factuality", -0.4), ("completeness", 0.5)):
        logged |= {f"{name}/response": value, f"{name}/weighted_segment": 9.0}
    del logged["reward/weighted_segment"]
    (tmp_path / "metrics.jsonl").write_text(json.dumps(logged) + "\n")
    (step,) = curve(tmp_path, load_recipe("smoke"), WEIGHTS)
    assert step["episodes"] == 8
    assert step["reward"] == pytest.approx((0.3 * 1 + 0.5 * -0.4 + 0.3 * 0.5) / 1.1)
    assert step["factuality"] == -0.4


def test_the_end_is_the_last_third_and_intervals_are_students():
    assert ending(run("a", [0, 0, 0, 0, 3, 5])) == 4
    assert half_width([1.0]) is None
    assert half_width([1.0, 2.0, 3.0]) == pytest.approx(4.302653 / 3**0.5, rel=1e-5)


def test_smoothing_averages_what_came_before():
    assert smooth(np.array([1.0, 3.0, 5.0, 7.0, 9.0, 11.0])).tolist() == [1, 2, 3, 4, 5, 7]


def test_arms_are_compared_step_by_step_on_the_same_questions():
    noise = np.random.default_rng(0).normal(size=60)
    compared = ahead(results(run("fine-grained", noise + 0.5), run("holistic", noise)), "fine-grained", "holistic")
    assert compared == pytest.approx({"difference": 0.5, "low": 0.5, "high": 0.5, "steps": 20})


def test_catching_up_is_for_good():
    rising, slow = np.linspace(0, 2, 40), np.linspace(0, 1, 40)
    caught = catches_up(results(run("fine-grained", rising), run("holistic", slow)), "fine-grained", "holistic")
    assert 0.4 < caught["share"] < 0.6
    assert caught["episodes"] == caught["share"] * 40 * 48
    assert caught["by_seed"] == [{"episodes": caught["episodes"], "share": caught["share"]}]
    never = catches_up(results(run("fine-grained", slow), run("holistic", rising)), "fine-grained", "holistic")
    assert never == {"episodes": None, "share": None, "by_seed": [{"episodes": None, "share": None}]}
    two = results(
        run("fine-grained", rising), run("holistic", slow), run("fine-grained", slow, 1), run("holistic", rising, 1)
    )
    assert [seed["share"] is None for seed in catches_up(two, "fine-grained", "holistic")["by_seed"]] == [False, True]


def test_a_row_for_each_arm_with_means_over_seeds():
    rows = summarise(results(run("a", [1.0], words=80), run("b", [3.0]), run("a", [2.0], seed=1, words=100)))
    assert [(row["arm"], row["seeds"]) for row in rows] == [("a", 2), ("b", 1)]
    assert rows[0]["words"]["mean"] == 90
    assert rows[0]["training reward"]["half_width"] == pytest.approx(12.7062 * 0.5, rel=1e-4)
    assert rows[1]["R2 clean"] == {"mean": 0.7, "half_width": None}


def test_plots_are_drawn(tmp_path):
    some = results(run("a", [1.0, 2.0]), run("a", [2.0, 3.0], seed=1), run("b", [1.0, 1.0]), kind="customize")
    assert [path.name for path in draw(some, tmp_path)] == ["curves.svg", "trade_off.svg"]
    assert all("<svg" in path.read_text() for path in tmp_path.iterdir())


def test_what_the_validation_questions_say_is_drawn_beside_the_training(tmp_path):
    lines = [
        Evaluation(
            step=k, episodes=48 * k, reward=0.1 * k, judge=0.05 * k, copied=0.2, longest=9, words=60, tokens=80,
            truncated=0, repetition=0.1, clean_rate={"relevance": 0.5}, completeness=0, rewards=(0.1,),
        )
        for k in range(3)
    ]  # fmt: skip
    assert validation_curve(tmp_path) == []
    (tmp_path / "validation.jsonl").write_text("".join(line.model_dump_json() + "\n" for line in lines))
    watched = validation_curve(tmp_path)
    assert [evaluation["judge"] for evaluation in watched] == pytest.approx([0, 0.05, 0.1])
    assert "rewards" not in watched[0]
    some = results(*(run(arm, [1.0, 2.0], seed, validation=watched) for arm in "ab" for seed in range(2)))
    plots = draw(some, tmp_path)
    assert [path.name for path in plots] == ["curves.svg", "validation.svg"]
    assert "judge" in plots[1].read_text()


def point(weights, shares, words, anchor=None):
    figures = dict.fromkeys(FIGURES, 0.5) | {"words": words}
    intervals = dict.fromkeys(FIGURES) | {"words": [words - 2, words + 2]}
    return {
        "version": "v", "anchor": anchor, "weights": weights, "shares": shares, "figures": figures,
        "intervals": intervals,
    }  # fmt: skip


def test_mixtures_are_compared_with_what_their_anchors_mix_to(tmp_path):
    points = with_expected(
        [
            point({"relevance": 1.0}, {"a@1": 1.0}, 50.0, "a@1"),
            point({"relevance": 0.0}, {"b@1": 1.0}, 90.0, "b@1"),
            point({"relevance": 0.75}, {"a@1": 0.75, "b@1": 0.25}, 58.0),
            point({"relevance": 0.5}, {"a@1": 0.5, "b@1": 0.5}, 91.0),
            point({"relevance": 0.5}, {"a@1": 0.5, "b@1": 0.5}, 93.0),
        ]
    )
    assert [point["expected"]["words"] for point in points] == pytest.approx([50, 90, 60, 70, 70])
    assert [point["between"]["words"] for point in points] == [True, True, True, True, False]
    assert "<svg" in draw_mixing({"points": points}, tmp_path / "mixtures.svg").read_text()


def test_weights_are_drawn_from_what_the_anchors_reach(write_policy, tmp_path):
    store = PolicyStore(tmp_path / "policies")
    for seed, (profile, weights) in enumerate({"a": "8,1,1", "b": "1,8,1", "c": "1,1,8"}.items()):
        store.promote(profile, write_policy(store, profile, seed, weights=weights).version)
    among = anchors(store, "b" * 64)
    drawn = draw_weights(among, 20, 0)
    assert all(mixture_for(weights, among).served.same_as(weights) for weights in drawn)
    assert drawn == draw_weights(among[::-1], 20, 0)
    assert drawn != draw_weights(among, 20, 1)
