"""Critic-free credit: each token's return is compared with the returns of its prompt's other samples from there on.

A segment is credited with what its response earned from it on, less what the other responses earned after as many
tokens. The baseline does not depend on the response it is subtracted from, so that the gradient stays unbiased, and
there is no critic to warm up, which a short run would spend half of itself on.
"""

from typing import Any

from torch import Tensor

from trainer.estimators.advantages import leave_one_out, returns_to_go
from trainer.experience import Batch


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
        """Nothing to keep."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Nothing to take over."""
