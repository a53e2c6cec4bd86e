"""The interface of an advantage estimator, and which one a recipe names."""

from typing import Any, Protocol

from torch import Tensor

from trainer.experience import Batch
from trainer.processes import Processes
from trainer.recipe import EstimatorRecipe, GaeRecipe


class Estimator(Protocol):
    """Turns a step's token rewards into advantages, and learns from them if it has parameters."""

    wants_features: bool
    """Whether it needs the reference's hidden states."""

    def advantages(self, rewards: Tensor, batch: Batch, features: Tensor) -> Tensor:
        """Advantages of the policy's tokens: float32 [B, T], zero on padding, not yet whitened.

        `rewards`: float32 [B, T], with the KL penalty subtracted; `features`: float32 [own samples, T, hidden], where
        hidden is 0 unless `wants_features`. The advantages are those of all processes' samples.
        """

    def learn(self) -> dict[str, float]:
        """Learn from the step whose advantages were last computed; returns metrics by name."""

    def state(self) -> dict[str, Any]:
        """The state to put into a checkpoint."""

    def restore(self, state: dict[str, Any]) -> None:
        """Restore the state of a checkpoint."""


def make_estimator(
    recipe: EstimatorRecipe, hidden_size: int, gamma: float, max_grad_norm: float, processes: Processes
) -> Estimator:
    """The estimator of a recipe."""
    if isinstance(recipe, GaeRecipe):
        from trainer.estimators.gae import GaeEstimator

        return GaeEstimator(recipe, hidden_size, gamma, max_grad_norm, processes)
    from trainer.estimators.leave_one_out import LeaveOneOutEstimator

    return LeaveOneOutEstimator(gamma)
