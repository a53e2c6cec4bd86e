from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from service.feedback.store.sampling.draw_keys import Draw, Levels, draw_key, draw_rate

START = datetime(2026, 1, 1, tzinfo=UTC)


def day(number):
    return START + timedelta(days=number)


def test_uncertain_answers_are_drawn_up_to_twice_as_often():
    assert (draw_rate(0), draw_rate(1)) == (0.5, 1)
    assert draw_key(0.3, 1) == 0.3
    assert draw_key(0.3, 0) == 0.6


def test_the_probability_grows_with_the_level_reached_since_an_answer_came():
    reached = {1: 0.8, 5: 0.1, 9: 0.2}
    levels = Levels([Draw("sampled", "long", day(number), level) for number, level in reached.items()])
    assert levels.probability(day(0), "long", 0.0) == 0.8
    assert levels.probability(day(2), "long", 0.0) == 0.2
    assert levels.probability(day(10), "long", 0.0) == 0


def test_the_order_for_the_error_rate_draws_within_profiles_and_by_rate():
    levels = Levels([Draw("error_rate", "long", day(1), 0.4), Draw("error_rate", "short", day(1), 0.6)])
    assert levels.probability(day(0), "long", 1.0) == 0.4
    assert levels.probability(day(0), "long", 0.0) == 0.2
    assert levels.probability(day(0), "short", 1.0) == 0.6
    assert levels.probability(day(0), "other", 1.0) == 0


def test_an_answer_may_be_drawn_by_either_order():
    levels = Levels([Draw("error_rate", "long", day(1), 0.4), Draw("sampled", "short", day(1), 0.3)])
    assert levels.probability(day(0), "long", 1.0) == 0.4
    assert levels.probability(day(0), "long", 0.0) == 0.3


def test_probabilities_are_the_shares_in_which_answers_are_drawn():
    """Traffic grows, and annotators come twice: answers of each time are drawn as often as their probability says."""
    rng = np.random.default_rng(0)
    created = np.repeat([0, 3], [200, 800])
    uncertainty = rng.random(1000)
    drawn_often, probable = np.zeros(1000), np.zeros(1000)
    for _ in range(300):
        key = rng.random(1000) / (1 + uncertainty) * 2
        first = [i for i in np.argsort(key) if created[i] == 0][:50]
        second = [i for i in np.argsort(key) if i not in set(first)][:50]
        draws = [Draw("error_rate", "long", day(2), float(key[i])) for i in first]
        draws += [Draw("error_rate", "long", day(4), float(key[i])) for i in second]
        levels = Levels(draws)
        drawn_often[[*first, *second]] += 1 / 300
        now = [levels.probability(day(int(t)), "long", u) for t, u in zip(created, uncertainty, strict=True)]
        probable += np.array(now) / 300
    for time in (0, 3):
        for certain in (True, False):
            group = (created == time) & ((uncertainty < 0.5) == certain)
            assert drawn_often[group].mean() == pytest.approx(probable[group].mean(), rel=0.05)
