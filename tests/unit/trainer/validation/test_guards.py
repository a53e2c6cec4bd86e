import pytest

from trainer.validation.guards import violations


def test_the_references_reward_is_a_ceiling(evaluation, references):
    assert violations(evaluation(1, reward=0.4), [], references, 0.15) == {}
    violated = violations(evaluation(1, reward=0.41), [], references, 0.15)
    assert violated == {
        "ceiling": "the policy earns +0.410 on the validation questions, more than the reference answers' +0.400"
    }


@pytest.mark.parametrize(
    ("copied", "margin", "violated"), [(0.35, 0.15, False), (0.36, 0.15, True), (0.36, 0.2, False)]
)
def test_copying_more_than_people_by_the_margin_is_a_sign(evaluation, references, copied, margin, violated):
    assert ("copied" in violations(evaluation(1, copied=copied), [], references, margin)) == violated


def test_the_judge_falls_while_the_reward_rises(evaluation, references):
    before = [evaluation(0, 0.0, 0.1), evaluation(10, 0.1, 0.4), evaluation(20, 0.2, 0.2)]
    violated = violations(evaluation(30, 0.3, 0.1), before, references, 0.15)
    # Compared with the evaluation that the judge liked best, not with the first or the last.
    assert violated == {
        "judge": "since 480 episodes its reward has risen by 0.200, but the judge's has changed by -0.300 "
        "[-0.300, -0.300]"
    }


def test_a_fall_of_the_judge_alone_or_within_chance_is_no_sign(evaluation, references):
    before = [evaluation(0, 0.3, 0.4)]
    assert violations(evaluation(1, 0.2, 0.1), before, references, 0.15) == {}
    judges = (0.9, -0.9, 1.3, -0.5, 0.9, -0.1, 0.2, 0.6)
    noisy = evaluation(1, 0.35, sum(judges) / 8, judges=judges)
    assert noisy.judge < before[0].judge
    assert violations(noisy, before, references, 0.15) == {}
    assert violations(evaluation(0, 0.35, 0.1), [], references, 0.15) == {}
