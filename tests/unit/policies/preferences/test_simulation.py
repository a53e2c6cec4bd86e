"""Simulated people: learning loses less to the best weights than the profile that it begins at."""

import numpy as np
import pytest

from policies.preferences.simulation import Measured, measured, simulate
from policies.store import PolicyStore
from policies.weights import Weights
from rewards.errors import FgctlError

CORNERS = np.array([[0.3, 0.5, 0.2], [0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])


@pytest.fixture
def answers():
    """Policies whose answers earn most in the category that they weigh most, and vary with the question."""
    rng = np.random.default_rng(0)
    rewards = 6 * CORNERS[:, None, :] + rng.normal(0, 0.5, (4, 40, 3))
    return Measured(("medium", "relevant", "factual", "complete"), CORNERS, rewards)


@pytest.mark.parametrize("kind", ["thumbs", "comparisons"])
def test_learning_approaches_the_best_weights_within_the_bounds(answers, kind):
    people = [Weights.parse("0.7,0.2,0.1"), Weights.parse("0.3,0.5,0.2")]
    regrets = simulate(answers, people, kind=kind, profile="medium", rounds=80, repeats=6)
    for regret in regrets:
        assert 0 <= regret.bound <= regret.last
        assert regret.last < regret.fixed["medium"]
    assert regrets == simulate(answers, people, kind=kind, profile="medium", rounds=80, repeats=6)


def test_policies_are_compared_only_if_the_same_models_judged_the_same_questions(tmp_path, write_policy):
    store = PolicyStore(tmp_path / "policies")

    def scores(rewards, value):
        by_question = {name: [value, value] for name in ("relevance", "factuality", "completeness")}
        return {"rewards": rewards, "questions": "q", "per_question": {"reward": by_question}}

    for seed, (profile, rewards) in enumerate([("short", "a"), ("medium", "b"), ("long", "b")]):
        manifest = write_policy(store, profile, seed, scores=scores(rewards, float(seed)))
        store.promote(profile, manifest.version)
    compared = measured(store)
    assert compared.profiles == ("medium", "long")
    assert compared.rewards.shape == (2, 2, 3)
    assert compared.rewards.mean(axis=(1, 2)).tolist() == [1.0, 2.0]
    with pytest.raises(FgctlError, match="choose one of medium, long"):
        simulate(compared, [Weights.parse("1,1,1")], profile="short", rounds=1)


def test_a_store_without_evaluations_says_what_to_do(tmp_path):
    with pytest.raises(FgctlError, match="fgctl evaluate"):
        measured(PolicyStore(tmp_path / "policies"))
