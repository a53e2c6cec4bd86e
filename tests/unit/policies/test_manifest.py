"""What a policy says of its reward models, in files of before and of now."""

from policies.manifest import UsedRewards


def test_a_policy_of_before_says_nothing_of_feedback() -> None:
    assert UsedRewards.model_validate({"version": "v", "digest": "d"}).feedback is None


def test_feedback_is_kept_through_json() -> None:
    written = {
        "version": "v", "digest": "d",
        "feedback": {"data": [{"name": "feedback.db", "digest": "e"}], "questions": 320, "annotations": None},
    }  # fmt: skip
    assert UsedRewards.model_validate(written).model_dump(mode="json") == written
