"""The promotion rule for a set: by made-up evaluations with known lengths, answers and rewards."""

from itertools import count

import numpy as np
import pytest

from policies.promotion.comparison import NotComparable
from policies.promotion.profile_set import PROFILE_SET, check_set
from policies.store import PolicyStore

WEIGHTS = {"short": "0.6,0.3,0.1", "medium": "0.2,0.6,0.2", "long": "0.1,0.3,0.6"}
QUESTIONS = 40


def scored(words=60, answer="a", relevance=0.0, factuality=0.0, completeness=0.0, **fields):
    """An evaluation whose answers vary in length by a word or two."""
    rng = np.random.default_rng(words)
    rewards = {"relevance": relevance, "factuality": factuality, "completeness": completeness}
    return {
        "questions": "q", "rewards": "r", "decoding": {"temperature": 0},
        "per_question": {
            "words": (words + rng.integers(-1, 2, QUESTIONS)).tolist(),
            "reward": {name: [value] * QUESTIONS for name, value in rewards.items()},
            "answer": [f"{answer}{i}" for i in range(QUESTIONS)],
        },
    } | fields  # fmt: skip


@pytest.fixture
def members(write_policy, tmp_path):
    """Makes the three profiles, with the same evaluation on both sets of questions unless the tests name others."""

    numbers = count()

    def make(validation=None, **changed):
        good = {
            "short": scored(50, "s", relevance=1), "medium": scored(60, "m", factuality=1),
            "long": scored(72, "l", completeness=1),
        }  # fmt: skip
        store = PolicyStore(tmp_path / f"{next(numbers)}" / "policies")
        held_out = good | changed
        aside = good | (changed if validation is None else validation)
        return [
            write_policy(store, name, seed, weights=WEIGHTS[name], scores=held_out[name] | {"validation": aside[name]})
            for seed, name in enumerate(PROFILE_SET)
        ]

    return make


def failing(members):
    return {(check.questions, check.condition) for check in check_set(members) if not check.holds}


def test_distinct_profiles_hold(members):
    checks = check_set(members())
    assert [check.questions for check in checks] == ["held-out"] * 11 + ["validation"] * 11
    assert all(check.holds for check in checks)
    lengths = next(check for check in checks if check.condition == "words of medium / short")
    assert lengths.value == pytest.approx(1.2, abs=0.02)
    assert lengths.low < lengths.value < lengths.high
    own = next(check for check in checks if check.condition == "reward of long - short, by the weights of long")
    assert own.value == pytest.approx(0.6 - 0.1)


def test_lengths_must_be_apart_by_fifteen_percent_on_both_sets_of_questions(members):
    close = {"long": scored(68, "l", completeness=1)}
    assert failing(members(**close)) == {
        ("held-out", "words of long / medium"), ("validation", "words of long / medium"),
    }  # fmt: skip
    assert failing(members(validation=close)) == {("validation", "words of long / medium")}


def test_an_interval_that_allows_the_other_order_fails(members):
    uneven = scored(72, "l", completeness=1)
    uneven["per_question"]["words"] = [8] * (QUESTIONS - 2) + [1200, 1200]
    assert ("held-out", "words of long / medium") not in failing(members())
    checks = check_set(members(long=uneven))
    ratio = next(check for check in checks if check.condition == "words of long / medium")
    assert ratio.value > 1.1
    assert ratio.low < 1
    assert not ratio.holds


def test_more_than_a_tenth_of_the_same_answers_fails(members):
    for same, holds in ((4, True), (5, False)):
        like = scored(72, "l", completeness=1)
        like["per_question"]["answer"][:same] = [f"m{i}" for i in range(same)]
        condition = ("held-out", "same answers of medium and long")
        assert (condition not in failing(members(long=like))) == holds


def test_each_must_earn_most_by_its_own_weights(members):
    greedy = {"long": scored(72, "l", completeness=1, relevance=1.1)}
    assert failing(members(validation={}, **greedy)) == {
        ("held-out", "reward of short - long, by the weights of short")
    }


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"long": {}}, "long@.* has no evaluation on the held-out questions to verify: none is recorded"),
        ({"long": scored(72) | {"per_question": {"words": [1]}}}, "lack reward and answer by question"),
        ({"long": scored(72, questions="other")}, "answered different questions"),
        ({"long": scored(72, rewards="other")}, "different reward models"),
        ({"long": scored(72, decoding={"temperature": 1})}, "sampled differently"),
    ],
)
def test_what_cannot_be_compared_says_what_to_run(members, change, why):
    with pytest.raises(NotComparable, match=why) as error:
        check_set(members(validation={}, **change))
    assert error.value.remedy.startswith("run `fgctl evaluate --record --profile short@")
    with pytest.raises(NotComparable, match=why.replace("held-out", "validation")) as error:
        check_set(members(validation=change))
    assert "--record --validation --profile short@" in error.value.remedy
