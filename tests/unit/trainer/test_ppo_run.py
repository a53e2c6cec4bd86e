import json

from policies.manifest import Named
from rewards.models.feedback_rewards import FITTED_REWARDS, FeedbackRewards
from rewards.scorer import Scorer
from trainer.ppo_run import used_rewards


def test_a_policy_names_its_reward_models_and_the_feedback_they_were_fitted_on(tmp_path):
    fitted = json.loads(FITTED_REWARDS.read_text())
    feedback = {"data": {"feedback.db": "d" * 64}, "questions": fitted["questions"][:2], "annotations": 3}
    (tmp_path / "rewards.json").write_text(json.dumps(fitted | feedback))
    scorer = Scorer(FeedbackRewards.load(tmp_path / "rewards.json"))
    used = used_rewards(scorer)
    assert used.version == scorer.version == fitted["version"]
    assert used.digest == scorer.digest != Scorer(FeedbackRewards.load()).digest
    assert used.feedback.data == (Named(name="feedback.db", digest="d" * 64),)
    assert (used.feedback.questions, used.feedback.annotations) == (2, 3)
