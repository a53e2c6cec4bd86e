"""A policy names the reward models that shaped it, and the feedback that those were fitted on."""

from types import SimpleNamespace

from policies.manifest import Named
from trainer.ppo_run import used_rewards


def test_the_rewards_feedback_is_named() -> None:
    fitted = SimpleNamespace(data={"feedback.db": "d" * 64}, questions=("a", "b"), annotations=3)
    scorer = SimpleNamespace(version="v1", digest="e" * 64, feedback=SimpleNamespace(fitted=fitted))
    used = used_rewards(scorer)  # type: ignore[arg-type]
    assert (used.version, used.digest) == ("v1", "e" * 64)
    assert used.feedback is not None
    assert used.feedback.data == (Named(name="feedback.db", digest="d" * 64),)
    assert (used.feedback.questions, used.feedback.annotations) == (2, 3)
