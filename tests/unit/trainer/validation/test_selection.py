from statistics import fmean

from hypothesis import given
from hypothesis import strategies as st

from trainer.validation.evaluation import Evaluation
from trainer.validation.selection import best, end, last_improvement

GAMED = {"ceiling": "too good"}


def test_the_best_earns_most_among_those_that_violate_no_guard(evaluation):
    parent, low, high, gamed = (
        evaluation(0, 0.9), evaluation(1, 0.1), evaluation(2, 0.3), evaluation(3, 0.8, violations=GAMED)
    )  # fmt: skip
    assert best([]) is best([parent]) is None
    assert best([parent, low]) is low
    assert best([parent, low, high, gamed]) is high
    assert best([parent, low, high, evaluation(4, 0.3)]) is high


def test_where_all_violate_guards_the_fewest_count(evaluation):
    twice = evaluation(1, 0.9, violations=GAMED | {"copied": "all of it"})
    assert best([twice, evaluation(2, 0.1, violations=GAMED)]).step == 2


def test_among_copies_the_least_is_best_within_one_standard_error_of_the_highest_reward(evaluation):
    def copying(step, copied, *rewards):
        values = {"copied": copied, "rewards": rewards}
        return evaluation(step, fmean(rewards), violations={"copied": "too much"}).model_copy(update=values)

    first = copying(1, 0.6, 0.4, 0.2, 0.3)
    far = copying(2, 0.3, 0.1, -0.1, 0.0)
    near = copying(3, 0.5, 0.2, 0.4, 0.2)
    assert best([first, far]) is first
    assert best([first, far, near]) is near
    higher = copying(4, 0.55, 0.5, 0.2, 0.4)
    assert best([first, far, near, higher]) is near
    highest = copying(5, 0.6, 0.9, 0.9, 0.9)
    assert best([first, far, near, highest]) is highest
    clean = evaluation(6, -1.0)
    assert best([first, highest, clean]) is clean


def test_a_run_ends_when_neither_reward_nor_judge_rises(evaluation):
    rising = [evaluation(0, 0.0, 0.0), evaluation(10, 0.2, 0.1)]
    assert last_improvement(rising) == 480
    judged = [*rising, evaluation(20, 0.1, 0.3)]
    assert last_improvement(judged) == 960
    flat = [*judged, evaluation(30, 0.2, 0.3), evaluation(40, 0.15, 0.2)]
    assert last_improvement(flat) == 960
    assert end(flat[:-1], 960) is None
    assert end(flat, 960) == "on the validation questions nothing has improved since 960 episodes, for 960 or more"
    assert end([], 1) is None


def test_what_violates_a_guard_is_no_improvement_and_nothing_to_rise_above(evaluation):
    parent = evaluation(0, 0.0, 0.0)
    gamed = evaluation(10, 0.9, 0.9, violations=GAMED)
    assert last_improvement([parent, gamed]) == 0
    assert last_improvement([parent, gamed, evaluation(20, 0.1, 0.0)]) == 960
    assert end([gamed], 480) is not None


def test_where_the_parent_copies_too_much_copying_less_is_an_improvement_and_copying_as_much_hides_none(evaluation):
    copies = {"copied": "too much of it"}
    parent = evaluation(0, 0.0, 0.0, violations=copies).model_copy(update={"copied": 0.6})
    better = evaluation(10, 0.2, 0.0, violations=copies).model_copy(update={"copied": 0.6})
    copies_less = evaluation(20, 0.1, -0.1, violations=copies).model_copy(update={"copied": 0.5})
    gamed = evaluation(30, 0.9, 0.9, violations=copies | GAMED).model_copy(update={"copied": 0.1})
    no_better = evaluation(40, 0.1, -0.1, violations=copies).model_copy(update={"copied": 0.55})
    run = [parent, better, copies_less, gamed, no_better]
    assert [last_improvement(run[:n]) for n in range(1, 6)] == [0, 480, 960, 960, 960]


def made(rows):
    return [
        Evaluation(
            step=i, episodes=48 * i, reward=reward, judge=judge, copied=0, longest=0, words=0, tokens=0, truncated=0,
            repetition=0, clean_rate={}, completeness=0, violations=GAMED if gamed else {},
        )
        for i, (reward, judge, gamed) in enumerate(rows)
    ]  # fmt: skip


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3), st.booleans()), min_size=2, max_size=12))
def test_the_best_is_not_beaten_and_later_evaluations_never_move_a_rise_back(rows):
    evaluations = made(rows)
    chosen = best(evaluations)
    clean = [e for e in evaluations[1:] if not e.violations]
    assert chosen in (clean or evaluations[1:])
    assert chosen.reward == max(e.reward for e in (clean or evaluations[1:]))
    rises = [last_improvement(evaluations[:n]) for n in range(1, len(evaluations) + 1)]
    assert rises == sorted(rises)
    assert end(evaluations, 48 * len(evaluations)) is None
