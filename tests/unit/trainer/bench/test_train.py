"""The benchmark of a PPO step: who is given what, and the arithmetic of its report, without a clock."""

import json

import pytest

from policies.store import PolicyStore
from rewards.errors import FgctlError
from trainer.bench.train import CONTENDERS, GOAL, PHASES, STEP, Turn, bench_recipe, prepare, report, take_turns
from trainer.rollouts.sampler import Sampled

ONE, TWO = [[Sampled([4, 2], [])]], [[Sampled([4, 5, 6, 2], [])]]


def turn(rollout, score, evaluate, update, sampled=ONE, grad_norm=1.0):
    seconds = dict(zip(PHASES, (rollout, score, evaluate, update), strict=True))
    return Turn(seconds, sampled, grad_norm, "sampler")


def test_in_a_round_the_plain_version_goes_on_with_the_trainers_responses():
    taken = []

    def contender(name, sampled):
        def take(step, responses):
            taken.append((name, step, responses))
            return turn(1, 1, 1, 1, sampled)

        return take

    turns = take_turns({"trainer": contender("trainer", ONE), "plain": contender("plain", TWO)}, 2)
    assert taken == [("trainer", 0, None), ("plain", 0, ONE), ("trainer", 1, None), ("plain", 1, ONE)]
    assert [t.sampled for t in turns["plain"]] == [TWO, TWO]
    assert list(turns) == list(CONTENDERS)


def test_ratios_are_quotients_of_medians_with_the_extremes_of_a_round():
    turns = {
        "trainer": [turn(1, 1, 1, 1), turn(2, 1, 1, 1), turn(3, 1, 1, 1)],
        "plain": [turn(4, 1, 2, 5, TWO, 1.1), turn(4, 1, 2, 5, TWO), turn(6, 1, 2, 5, TWO, 0.8)],
    }
    measured = report(turns, {"trainer": 2**20, "plain": 3 * 2**20}, episodes=4)
    assert measured.keys() == {"contenders", "ratios", "gradient_difference"}
    trainer, plain = measured["contenders"]["trainer"], measured["contenders"]["plain"]
    assert trainer["phases"]["rollout"] == {
        "seconds": {"median": 2, "min": 1, "max": 3},
        "episodes_per_minute": {"median": 120, "min": 80, "max": 240},
    }
    assert trainer["phases"][STEP]["seconds"] == {"median": 5, "min": 4, "max": 6}
    assert plain["phases"][STEP]["episodes_per_minute"]["median"] == pytest.approx(20)
    assert (trainer["response_tokens"], plain["response_tokens"]) == (2, 4)
    assert (trainer["peak_memory_mib"], plain["peak_memory_mib"]) == (1, 3)
    ratios = {ratio["phase"]: ratio for ratio in measured["ratios"]}
    assert list(ratios) == [*PHASES, STEP]
    assert ratios["rollout"] == {"phase": "rollout", "ratio": 2, "min": 2, "max": 4, "goal": None}
    assert ratios[STEP] == {
        "phase": STEP,
        "ratio": pytest.approx(12 / 5),
        "min": pytest.approx(14 / 6),
        "max": 3,
        "goal": GOAL,
    }
    assert measured["gradient_difference"] == pytest.approx(0.25)
    json.dumps(measured)


def test_the_steps_that_are_measured_update_the_policy_at_full_rate():
    recipe = bench_recipe("cpu", ["ppo.estimator.type=gae", "ppo.max_new_tokens=9"], 3, 5, None)
    assert (recipe.ppo.prompts_per_step, recipe.ppo.samples_per_prompt, recipe.ppo.max_new_tokens) == (3, 5, 9)
    assert (recipe.ppo.first_policy_step, recipe.ppo.warmup_steps) == (0, 0)
    assert bench_recipe("cpu", [], 3, 5, 8).ppo.max_new_tokens == 8


def test_without_a_parent_or_questions_it_says_what_to_do(tmp_path):
    recipe = bench_recipe("cpu", [], 1, 2, None)
    with pytest.raises(FgctlError, match="fgctl sft"):
        prepare(None, PolicyStore(tmp_path), recipe, [])
    with pytest.raises(FgctlError, match="--data"):
        prepare(None, PolicyStore(), recipe, [])
