import pytest

from rewards.categories import BUILT_IN, CategorySpec
from rewards.scores import CategoryScores, ScoredResponse, Segment, category_scores, weighted_reward


def scored(**rewards):
    return ScoredResponse(
        {
            name: CategoryScores(tuple(Segment(i, i + 1, 0.5, False) for i in range(len(paid))), paid)
            for name, paid in rewards.items()
        }
    )


def test_rewards_are_weighed_in_each_categorys_unit():
    categories = {"brief": CategorySpec("sentence", (), "", unit=2.0), "kind": CategorySpec("response", (), "")}
    response = scored(brief=(1.0, -0.5, 0.5), kind=(-1.0,))
    assert weighted_reward(response, {"brief": 0.6, "kind": 0.4}, categories) == pytest.approx(0.6 * 0.5 - 0.4)
    assert weighted_reward(response, {"kind": 1.0}, categories) == -1


def test_a_reward_is_zero_at_the_break_even_probability():
    assert BUILT_IN["relevance"].reward(0.5) == 0
    assert BUILT_IN["factuality"].reward(0.05) == 0
    assert BUILT_IN["factuality"].reward(1.0) == -1
    assert BUILT_IN["factuality"].reward(0.0) == pytest.approx(0.05 / 0.95)


def test_a_label_is_on_the_wire_if_there_is_one():
    scores = CategoryScores((Segment(0, 2, 0.1, False), Segment(3, 5, 0.9, True, "Redundant")), (0.8, -0.8))
    assert scores.as_json() == {
        "segments": [
            {"start": 0, "end": 2, "error_probability": 0.1, "error": False},
            {"start": 3, "end": 5, "error_probability": 0.9, "error": True, "label": "Redundant"},
        ]
    }


def test_the_wire_format():
    completeness = CategoryScores((Segment(0, 9, 0.123456, False),), (0.2,), score=-1.23456)
    relevance = CategoryScores((), ())
    scored = ScoredResponse({"relevance": relevance, "completeness": completeness}, ("No passages.",))
    assert scored.as_json() == {
        "scores": {
            "relevance": {"segments": []},
            "completeness": {
                "segments": [{"start": 0, "end": 9, "error_probability": 0.1235, "error": False}],
                "score": -1.2346,
            },
        },
        "in_domain": False,
        "notes": ["No passages."],
    }
    assert ScoredResponse({}).as_json() == {"scores": {}, "in_domain": True, "notes": []}


def test_a_segment_is_an_error_from_the_threshold_on_and_only_errors_keep_their_label():
    spec = CategorySpec("sentence", ("a", "b"), "", break_even=0.2)
    scores = category_scores(spec, [(0, 3), (4, 9)], [0.4, 0.6], 0.6, ["a", "b"])
    assert scores.segments == (Segment(0, 3, 0.4, False, None), Segment(4, 9, 0.6, True, "b"))
    assert scores.rewards == pytest.approx((-0.25, -0.5))
    assert category_scores(spec, [(0, 3)], [0.9], 0.6).segments[0].label is None
