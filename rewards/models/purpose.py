"""What a fitted model is for: rewarding policies in training, or judging them in evaluation. No model may do both."""

from typing import Literal

from rewards.errors import FgctlError

Purpose = Literal["reward", "judge"]
REWARD: Purpose = "reward"
JUDGE: Purpose = "judge"


def require_reward(name: str, purpose: str) -> None:
    """Raise FgctlError for a model that must not train a policy."""
    if purpose != REWARD:
        raise FgctlError(
            f"{name} is a {purpose}: it evaluates policies and must never train one; train with reward models."
        )
