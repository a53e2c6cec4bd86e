"""What feedback says of the weights that a person wants."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.preferences.arms import REACH, Arms, weights_around
from policies.preferences.posterior import Feedback, posterior

MEDIUM = (0.3, 0.5, 0.2)
rewards = st.lists(st.floats(-5, 5), min_size=3, max_size=3)
simplex = st.lists(st.floats(0.01, 1), min_size=3, max_size=3).map(lambda w: [part / sum(w) for part in w])


@settings(max_examples=50, deadline=None)
@given(simplex, st.integers(1, 20), st.floats(0.05, 0.5))
def test_no_arm_is_outside_the_bounds_or_the_simplex(profile, cells, reach):
    arms = weights_around(profile, cells, reach)
    assert arms[0] == pytest.approx(profile)
    assert np.abs(arms - arms[0]).max() <= reach + 1e-9
    assert arms.min() >= 0
    assert arms.sum(axis=1) == pytest.approx(1)
    assert arms[1:] * cells == pytest.approx(np.round(arms[1:] * cells))


def test_the_arms_are_the_points_of_the_grid_of_mixtures():
    arms = weights_around((0.5, 0.5, 0.0), 10, 0.1)
    assert sorted(map(tuple, arms[1:].round(3).tolist())) == [
        (0.4, 0.5, 0.1), (0.4, 0.6, 0.0), (0.5, 0.4, 0.1), (0.5, 0.5, 0.0), (0.6, 0.4, 0.0),
    ]  # fmt: skip


def test_without_feedback_the_profile_is_the_most_likely():
    arms = weights_around(MEDIUM, 20)
    learned = posterior(arms, Feedback.of(3))
    assert learned.probabilities.argmax() in (0, int(((arms[1:] - arms[0]) ** 2).sum(axis=1).argmin()) + 1)
    assert learned.probabilities.sum() == pytest.approx(1)


def test_a_choice_is_weighed_as_bradley_and_terry_say():
    arms = np.array([[0.5, 0.5, 0.0], [0.7, 0.3, 0.0]])
    prior = posterior(arms, Feedback.of(3)).probabilities
    learned = posterior(arms, Feedback.of(3, choices=[((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))])).probabilities
    # w . (r_a - r_b) is 0 for the first arm and 0.4 for the second.
    expected = prior * np.array([0.5, 1 / (1 + np.exp(-0.4))])
    assert learned == pytest.approx(expected / expected.sum())


@pytest.mark.parametrize("kind", ["thumbs", "choices"])
def test_feedback_moves_the_weights_towards_what_is_preferred(kind):
    good, bad = (2.0, 0.0, 0.0), (0.0, 2.0, 0.0)
    feedback = {"thumbs": [(good, True), (bad, False)] * 10, "choices": [(good, bad)] * 10}
    learned = posterior(weights_around(MEDIUM, 20), Feedback.of(3, **{kind: feedback[kind]}))
    assert learned.mean[0] > 0.38
    assert learned.mean[1] < 0.42
    assert np.abs(learned.mean - MEDIUM).max() <= REACH


def test_thumbs_of_somebody_who_is_always_content_say_nothing():
    arms = weights_around(MEDIUM, 20)
    content = posterior(arms, Feedback.of(3, thumbs=[((1.0, 1.0, 1.0), True)] * 30))
    assert content.probabilities == pytest.approx(posterior(arms, Feedback.of(3)).probabilities)


def test_ties_draw_towards_weights_by_which_both_are_worth_the_same():
    arms = np.array([[0.5, 0.5, 0.0], [0.7, 0.3, 0.0]])
    tie = Feedback.of(3, ties=[((2.0, 0.0, 0.0), (0.0, 2.0, 0.0))])
    assert posterior(arms, tie).probabilities[0] > posterior(arms, Feedback.of(3)).probabilities[0]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(rewards, st.booleans()), max_size=8), st.lists(st.tuples(rewards, rewards), max_size=8))
def test_any_feedback_gives_probabilities_and_its_order_does_not_matter(thumbs, choices):
    arms = weights_around(MEDIUM, 10)
    learned = posterior(arms, Feedback.of(3, thumbs, choices))
    assert learned.probabilities.sum() == pytest.approx(1)
    again = posterior(arms, Feedback.of(3, thumbs[::-1], choices[::-1]))
    assert learned.probabilities == pytest.approx(again.probabilities)
    assert learned.draw(3).tolist() == learned.draw(3).tolist()


def test_the_best_arm_is_that_whose_measured_answers_are_worth_most_else_the_nearest():
    weights = np.array([[0.3, 0.5, 0.2], [0.5, 0.3, 0.2], [0.2, 0.6, 0.2]])
    wanted = np.array([0.48, 0.32, 0.2])
    assert Arms(weights).best(wanted) == 1
    assert Arms(weights, np.array([[0.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [0.5, 0.5, 0.0]])).best(wanted) == 2
