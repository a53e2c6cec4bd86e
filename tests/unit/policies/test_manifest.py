"""What a policy says of its reward models, in files of before and of now."""

from datetime import UTC, datetime

from policies.manifest import Named, PolicyManifest, UsedRewards, card
from policies.weights import Weights


def test_a_policy_of_before_says_nothing_of_feedback() -> None:
    assert UsedRewards.model_validate({"version": "v", "digest": "d"}).feedback is None


def test_feedback_is_kept_through_json() -> None:
    written = {
        "version": "v", "digest": "d",
        "feedback": {"data": [{"name": "feedback.db", "digest": "e"}], "questions": 320, "annotations": None},
    }  # fmt: skip
    assert UsedRewards.model_validate(written).model_dump(mode="json") == written


def made(scores) -> PolicyManifest:
    return PolicyManifest(
        profile="medium", version="1", weights=Weights.parse("3,5,2"), base=Named(name="base", digest="b"), parent=None,
        recipe={}, data=(), rewards=None, steps=2, episodes=8, scores=scores, created=datetime.now(UTC), fgctl="0",
    )  # fmt: skip


def test_the_card_has_the_figures_beside_those_of_the_references() -> None:
    scores = {
        "n": 80, "length": {"words": 86.24}, "weighted_reward": 0.0684, "copied": {"share": 0.84, "longest": 57.2},
        "references": {
            "length": {"words": 60.41}, "weighted_reward": -0.4, "copied": {"share": 0.285, "longest": 14.3},
        },
        "validation": {"length": {"words": 99}},
    }  # fmt: skip
    text = card(made(scores))
    assert "Greedy answers to 80 held-out questions, and the reference answers:" in text
    assert [line for line in text.splitlines() if line.startswith("|")] == [
        "| | policy | references |",
        "|---|---|---|",
        "| words | 86.2 | 60.4 |",
        "| reward, by its weights | 0.068 | -0.400 |",
        "| words in copied 8-grams | 0.840 | 0.285 |",
        "| longest copied run, words | 57.2 | 14.3 |",
    ]


def test_a_card_without_scores_has_no_table() -> None:
    for scores in ({}, {"served": {"words": 3}}, {"validation": {"length": {"words": 99}}}):
        assert "|" not in card(made(scores))


def test_figures_leave_out_the_values_by_question_of_every_evaluation() -> None:
    manifest = made({"n": 1, "per_question": {}, "validation": {"n": 2, "per_question": {}}})
    assert manifest.figures == {"n": 1, "validation": {"n": 2}}
    assert manifest.greedy_scores == {"n": 1, "per_question": {}}
