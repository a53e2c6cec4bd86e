import json
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.training.front_experiment import LEAST
from policies.store import SHIPPED
from rewards.categories import BUILT_IN
from rewards.models.feedback_rewards import FeedbackRewards
from trainer.experiments.front.measures import (
    _MOST_SEGMENTS,
    above,
    hypervolume,
    least_rewards,
    nondominated,
    rank_agreement,
    sparsity,
)

ORIGIN = np.zeros(3)


@pytest.fixture(scope="module")
def evaluations():
    """The recorded evaluations of all shipped versions that have values by question."""
    scores = [json.loads(file.read_text())["scores"] for file in SHIPPED.glob("*/*/policy.json")]
    return [evaluation for evaluation in scores if "per_question" in evaluation and "tokens" in evaluation["length"]]


def test_the_reference_point_is_what_answers_earn_in_which_nothing_is_right():
    assert least_rewards() == pytest.approx((-12, -3, -1))
    assert ",".join(f"{value:g}" for value in least_rewards()) == LEAST


def test_no_answers_of_the_usual_length_have_more_segments_than_the_reference_point_counts(evaluations):
    assert len(evaluations) > 5
    for evaluation in evaluations:
        for category, segments in evaluation["per_question"]["segments"].items():
            assert 200 * fmean(segments) / evaluation["length"]["tokens"] < _MOST_SEGMENTS[category]


def test_what_shipped_policies_earn_lies_above_the_reference_point(evaluations):
    current = FeedbackRewards.load(None).version
    scores = [e["per_question"] for e in evaluations if e["rewards"] == current]
    means = [
        [fmean(by[name]) for name in BUILT_IN] for part in scores for by in (part["reward"], part["judge"]["reward"])
    ]
    assert len(means) > 5
    assert above(np.array(means), np.array(least_rewards())).all()


def test_the_hypervolume_is_the_union_of_boxes():
    assert hypervolume(np.array([[1.0, 2.0, 3.0]]), ORIGIN) == pytest.approx(6)
    boxes = np.array([[2.0, 1.0, 1.0], [1.0, 2.0, 1.0], [1.0, 1.0, 2.0]])
    assert hypervolume(boxes, ORIGIN) == pytest.approx(4)
    assert hypervolume(boxes, np.array([-1.0, 0, 0])) == pytest.approx(3 + 2 * 2 - 2 + 2 * 2 - 2)


def test_points_below_the_reference_point_or_dominated_add_nothing():
    assert hypervolume(np.array([[1.0, 1.0, -0.1]]), ORIGIN) == 0
    front = np.array([[2.0, 2.0, 2.0], [1.0, 1.0, 1.0]])
    assert hypervolume(front, ORIGIN) == pytest.approx(8)
    assert nondominated(front).tolist() == [True, False]
    assert above(np.array([[1.0, 1.0, -0.1], [1.0, 1.0, 0.0], [0.1, 0.1, 0.1]]), ORIGIN).tolist() == [
        False,
        False,
        True,
    ]


@given(st.lists(st.tuples(*[st.floats(0.1, 2)] * 3), min_size=1, max_size=6))
def test_a_further_point_never_lowers_the_hypervolume(points):
    front = np.array(points)
    assert hypervolume(front, ORIGIN) >= hypervolume(front[:-1], ORIGIN) - 1e-9 if len(front) > 1 else True
    assert hypervolume(front, ORIGIN) >= max(np.prod(front, axis=1)) - 1e-9


def test_sparsity_is_the_mean_of_squared_gaps():
    assert sparsity(np.array([[0.0, 2.0, 0.0], [1.0, 1.0, 0.0], [3.0, 0.0, 0.0]])) == pytest.approx((1 + 4 + 1 + 1) / 2)
    assert sparsity(np.array([[1.0, 1.0, 1.0], [0.5, 0.5, 0.5]])) == 0


def test_rank_agreement_is_the_share_of_pairs_in_the_order_asked_for():
    asked = np.array([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 0.5, 0.5]])
    assert rank_agreement(asked, asked).tolist() == [1, 1, 1]
    assert rank_agreement(asked, -asked).tolist() == [0, 0, 0]
    assert rank_agreement(asked, np.zeros((3, 3))).tolist() == [0.5, 0.5, 0.5]
    measured = np.array([[3.0, 0.0, 0.0], [1.0, 1.0, 5.0], [2.0, 1.0, 4.0]])
    # Relevance: 3 > 1 and 3 > 2 as asked, 1 < 2 not. Completeness: 0 < 4 as asked, 5 > 4 not; the first pair is a tie.
    assert rank_agreement(asked, measured) == pytest.approx([2 / 3, 1, 1 / 2])
    assert rank_agreement(asked, np.stack([asked, -asked])).shape == (2, 3)
