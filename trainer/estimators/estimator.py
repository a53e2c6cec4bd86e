"""What every advantage estimator does, and which one a recipe names."""

from typing import Any, Protocol

from torch import Tensor

from trainer.experience import Batch
from trainer.processes import Processes
from trainer.recipe import EstimatorRecipe, GaeRecipe


class Estimator(Protocol):
    """Turns a step's token rewards into advantages, and learns from them if it has anything to learn."""

    wants_features: bool
    """Whether it reads the reference's hidden states."""

    def advantages(self, rewards: Tensor, batch: Batch, features: Tensor) -> Tensor:
        """Advantages of the policy's tokens: float32 [B, T], zero on padding, not yet whitened.

        `rewards`: float32 [B, T], the KL penalty taken off; `features`: float32 [own samples, T, hidden], or
        hidden 0. The advantages are those of all processes' samples.
        """

    def learn(self) -> dict[str, float]:
        """Learn from the step whose advantages were last asked for; metrics by name."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds of it."""

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a checkpoint's."""


def make_estimator(
    recipe: EstimatorRecipe, hidden_size: int, gamma: float, max_grad_norm: float, processes: Processes
) -> Estimator:
    """The estimator of a recipe."""
    if isinstance(recipe, GaeRecipe):
        from trainer.estimators.gae import GaeEstimator

        return GaeEstimator(recipe, hidden_size, gamma, max_grad_norm, processes)
    from trainer.estimators.leave_one_out import LeaveOneOutEstimator

    return LeaveOneOutEstimator(gamma)
