import pytest

from rewards.categories import BUILT_IN, CategorySpec
from rewards.scores import CategoryScores, ScoredResponse, Segment, weighted_reward


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


def test_a_segment_pays_by_how_far_it_is_from_even():
    assert BUILT_IN["relevance"].reward(0.5) == 0
    assert BUILT_IN["factuality"].reward(0.2) == 0
    assert BUILT_IN["factuality"].reward(1.0) == -1
    assert BUILT_IN["factuality"].reward(0.0) == pytest.approx(0.25)


def test_a_label_is_on_the_wire_where_there_is_one():
    judged = CategoryScores((Segment(0, 2, 0.1, False), Segment(3, 5, 0.9, True, "Redundant")), (0.8, -0.8))
    assert judged.as_json() == {
        "segments": [
            {"start": 0, "end": 2, "error_probability": 0.1, "error": False},
            {"start": 3, "end": 5, "error_probability": 0.9, "error": True, "label": "Redundant"},
        ]
    }
