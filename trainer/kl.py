"""The KL penalty: how far the policy is from its supervised parent, and what that costs."""

import math
from typing import Any

from torch import Tensor

from trainer.recipe import KlRecipe

_STRETCH = 0.2
"""Largest relative error that adaptive control reacts to."""


def kl_estimates(logprobs: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """Two estimates of KL(policy | reference) from tokens the policy sampled, in nats, of the tensors' shape.

    `logprobs` and `reference` are the sampled tokens' log-probabilities. The first, log(p / q), is what the reward
    is reduced by; the second, q/p - 1 - log(q/p), has the same mean, is never negative and varies less (k1 and k3 of
    Schulman 2020, "Approximating KL divergence").
    """
    log_ratio = logprobs - reference
    return log_ratio, (-log_ratio).exp() - 1 + log_ratio


class KlController:
    """The KL penalty's coefficient: fixed, or steered towards a target (Ziegler et al. 2019, section 2.2)."""

    def __init__(self, recipe: KlRecipe) -> None:
        self._recipe = recipe
        self.coefficient = recipe.coefficient

    def update(self, kl: float, episodes: int) -> None:
        """Adapt the coefficient to a step's KL, in nats a response, over so many episodes; a KL of NaN says nothing.

        A step of more episodes than the horizon counts as one horizon, so that the coefficient never changes its sign.
        """
        if self._recipe.target is None or math.isnan(kl):
            return
        error = min(max(kl / self._recipe.target - 1, -_STRETCH), _STRETCH)
        self.coefficient *= 1 + error * min(1.0, episodes / self._recipe.horizon)

    def state(self) -> dict[str, Any]:
        """The state to put into a checkpoint."""
        return {"coefficient": self.coefficient}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        self.coefficient = float(state["coefficient"])
