"""Credit without a critic: each token's return minus the mean return of its prompt's other samples from there on.

A segment is credited with what its response earned from then on, less what the other responses earned after the same
number of tokens. The baseline does not depend on the response it is subtracted from, so the gradient stays unbiased.
There is no critic to warm up, which would take half of a short run.
"""

from typing import Any

from torch import Tensor

from trainer.estimators.advantages import leave_one_out, returns_to_go
from trainer.estimators.estimator import Setting
from trainer.experience import Batch
from trainer.recipe import LeaveOneOutRecipe


class LeaveOneOutEstimator:
    """RLOO's baseline (Ahmadian et al. 2024) on dense rewards."""

    wants_features = False

    def __init__(self, gamma: float) -> None:
        self._gamma = gamma

    def advantages(self, rewards: Tensor, batch: Batch, features: Tensor) -> Tensor:
        """See Estimator."""
        return leave_one_out(returns_to_go(rewards, batch.mask, gamma=self._gamma), batch.mask, batch.prompts)

    def learn(self) -> dict[str, float]:
        """Nothing to learn."""
        return {}

    def state(self) -> dict[str, Any]:
        """Nothing to save."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Nothing to restore."""


def make(recipe: LeaveOneOutRecipe, setting: Setting) -> LeaveOneOutEstimator:
    """The estimator of a recipe."""
    return LeaveOneOutEstimator(setting.gamma)
