from itertools import count

import numpy as np
import pytest

from policies.promotion.comparison import NotComparable, objection, paired_difference, reward_difference
from policies.store import PolicyStore


@pytest.fixture
def pair(write_policy, recorded, tmp_path):
    """Makes a candidate and a current version with these rewards, or these scores, in a store of their own."""
    numbers = count()

    def make(candidate, current, **fields):
        store = PolicyStore(tmp_path / f"{next(numbers)}" / "policies")
        scores = [
            scores_or_rewards if isinstance(scores_or_rewards, dict) else recorded(scores_or_rewards)
            for scores_or_rewards in (candidate, current)
        ]
        return write_policy(store, seed=1, scores=scores[0], **fields), write_policy(store, seed=2, scores=scores[1])

    return make


def test_the_interval_of_a_paired_difference_is_that_of_its_mean():
    rng = np.random.default_rng(1)
    current = rng.normal(0, 5, 400)
    interval = paired_difference(current - 0.5 + rng.normal(0, 1, 400), current)
    assert interval.difference == pytest.approx(-0.5, abs=0.15)
    # Pairing takes the questions' own spread away: a standard error of 1 / 20.
    assert interval.high - interval.low == pytest.approx(2 * 1.96 / 20, rel=0.1)
    assert interval.low < interval.difference < interval.high
    assert paired_difference([1, 2], [1, 2]).model_dump() == {"difference": 0, "low": 0, "high": 0}


def test_only_a_fall_beyond_the_interval_is_refused(pair):
    rng = np.random.default_rng(0)
    current = rng.normal(0, 1, 80)
    for fall, refused in ((1.0, True), (0.1, False), (0.0, False), (-1.0, False)):
        difference, refusal = objection(*pair(current - fall + rng.normal(0, 1, 80), current))
        assert (refusal is not None) == refused == (difference.high < 0)
    _, refusal = objection(*pair(current - 1, current))
    assert "earns less weighted reward" in refusal
    assert "-1.000 [-1.000, -1.000]" in refusal
    assert "--force`." in refusal


def test_nothing_speaks_against_replacing_what_has_no_scores(pair):
    assert objection(*pair({}, {})) == (None, None)
    assert objection(*pair([1.0, 2.0], {})) == (None, None)


def test_only_greedy_scores_are_compared(pair, recorded):
    mine, theirs = recorded([1.0, 2.0]), recorded([0.5, 1.5])
    difference, refusal = objection(*pair(mine | {"served": {"responses": 4}}, theirs | {"served": {"responses": 9}}))
    assert (difference.difference, refusal) == (0.5, None)
    served = {"served": {"responses": 160}}
    assert objection(*pair(mine, served)) == (None, None)
    assert "has no recorded scores" in objection(*pair(served, mine))[1]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"questions": "other"}, "answered different questions"),
        ({"rewards": "other"}, "different reward models"),
        ({"decoding": {"temperature": 0.7}}, "sampled differently"),
        ({"per_question": {}}, "without values by question"),
    ],
)
def test_evaluations_that_differ_are_not_compared(pair, recorded, fields, why):
    good = recorded([1.0, 2.0])
    for candidate, current in ((good | fields, good), (good, good | fields)):
        mine, theirs = pair(candidate, current)
        difference, refusal = objection(mine, theirs)
        assert difference is None
        assert why in refusal
        names = f"--profile medium@{mine.version} --profile medium@{theirs.version}"
        assert f"run `fgctl evaluate --record {names}` and try again" in refusal


def test_old_scores_without_values_by_question_and_a_candidate_without_any_are_not_compared(pair, recorded):
    old = {"n": 80, "weighted_reward": -0.5, "rewards": "r"}
    assert "without values by question" in objection(*pair(recorded([1.0]), old))[1]
    assert "has no recorded scores" in objection(*pair({}, old))[1]


def test_rewards_by_other_weights_are_not_compared(pair):
    with pytest.raises(NotComparable, match=r"weights 0.200,0.500,0.300 and .* for 0.300,0.500,0.200"):
        reward_difference(*pair([1.0], [1.0], weights="0.2,0.5,0.3"))
    with pytest.raises(NotComparable, match="weights none and"):
        reward_difference(*pair([1.0], [1.0], weights=None))
    assert reward_difference(*pair([1.0], [1.0], weights="3,5,2.001")).difference == 0
