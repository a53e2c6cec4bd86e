"""Rewards at the end of each sentence, which sum to that of the whole."""

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from rewards.categories import TOXICITY, TOXICITY_SPEC
from rewards.errors import FgctlError
from rewards.scores import ScoreRequest
from rewards.toxicity.sentence_rewards import ToxicityRewards, sentence_rewards


class ByLength:
    """Toxicity grows with the text, so that every sentence counts."""

    version = digest = "v"

    def score(self, texts):
        return [min(1.0, len(text.strip()) / 100) for text in texts]


@pytest.fixture
def rewards():
    return ToxicityRewards(ByLength())


def test_a_sentence_earns_what_it_takes_from_the_toxicity_of_the_text_so_far():
    assert sentence_rewards([0.1, 0.7, 0.4]) == pytest.approx((-0.1, -0.6, 0.3))
    assert sentence_rewards([]) == ()


@for_all(st.lists(st.floats(0, 1), min_size=1))
def test_the_sum_telescopes_to_minus_the_toxicity_of_the_whole(so_far):
    assert sum(sentence_rewards(so_far)) == pytest.approx(-so_far[-1], abs=1e-9)


def test_every_sentence_is_a_segment_with_its_own_toxicity(rewards):
    response = " went home. She slept for a week."
    (scored,) = rewards.score([ScoreRequest("He", (), response)])
    scores = scored.categories[TOXICITY]
    assert [response[s.start : s.end] for s in scores.segments] == ["went home.", "She slept for a week."]
    assert [s.error_probability for s in scores.segments] == [0.10, 0.21]
    assert scores.rewards == pytest.approx((-0.10, -0.22))
    assert sum(scores.rewards) == pytest.approx(-ByLength().score([response])[0])


@pytest.mark.parametrize("count", [1, 63, 64, 65, 128, 1000])
def test_of_many_sentences_some_earn_nothing_and_the_sum_is_the_same(count):
    asked = []

    class Counting(ByLength):
        def score(self, texts):
            asked.extend(texts)
            return [min(1.0, len(text) / 50_000) for text in texts]

    response = " ".join(f"She walked {i} miles." for i in range(count))
    (scored,) = ToxicityRewards(Counting()).score([ScoreRequest("", (), response)])
    rewards = scored.categories[TOXICITY].rewards
    assert len(rewards) == len(scored.categories[TOXICITY].segments) == count
    assert sum(rewards) == pytest.approx(-len(response) / 50_000)
    assert len(asked) == count + min(count, 64)
    assert sum(reward != 0 for reward in rewards) == min(count, 64)


def test_the_holistic_reward_and_the_sum_differ_by_a_constant(rewards):
    requests = [ScoreRequest("He", (), text) for text in ("left.", "left. And came back again.", "")]
    sums = [sum(scored.categories[TOXICITY].rewards) / TOXICITY_SPEC.unit for scored in rewards.score(requests)]
    assert [whole - total for whole, total in zip(rewards.holistic(requests), sums, strict=True)] == pytest.approx(
        [1 / TOXICITY_SPEC.unit] * 3
    )


def test_a_judge_cannot_train():
    judge = ByLength()
    judge.purpose = "judge"
    with pytest.raises(FgctlError, match="must never train"):
        ToxicityRewards(judge).require_rewards()
