"""The paper's PPO: generalised advantage estimation with a critic, which is a head on the reference's hidden states.

Each token is credited with how much more its response earned from there on than the critic expected. The prompt's mean
is subtracted as well, because in a short run the critic learns too slowly how hard each prompt is.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from trainer.estimators.advantages import centre, gae
from trainer.estimators.estimator import Setting
from trainer.experience import Batch
from trainer.losses import value_loss
from trainer.processes import Processes
from trainer.recipe import GaeRecipe
from trainer.tracking.metrics import explained_variance

_HIDDEN = 128


class Critic(nn.Module):
    """The value head: a small network on the reference's last hidden state, whose last layer starts at zero.

    The reference never changes, so a step's features are computed once. Several epochs of fitting the head cost next to
    nothing, and the policy's weights stay out of it.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(features, elementwise_affine=False)
        self.hidden = nn.Linear(features, _HIDDEN)
        self.out = nn.Linear(_HIDDEN, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Expected return from each position: float32 [..., hidden] to [...]."""
        return self.out(self.hidden(self.norm(features)).relu()).squeeze(-1)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class _Step:
    """What the critic learns from: values and returns of the step's N response tokens, features of its own ones."""

    features: Tensor
    own: Tensor
    values: Tensor
    returns: Tensor


class GaeEstimator:
    """GAE (Schulman et al. 2016) with a critic that learns from every step's returns."""

    wants_features = True

    def __init__(
        self, recipe: GaeRecipe, hidden_size: int, gamma: float, max_grad_norm: float, processes: Processes
    ) -> None:
        self._recipe, self._gamma, self._max_grad_norm, self._processes = recipe, gamma, max_grad_norm, processes
        self.critic = Critic(hidden_size)
        self._optimizer = torch.optim.AdamW(
            self.critic.parameters(), lr=recipe.value_learning_rate, eps=1e-5, weight_decay=0.0
        )
        self._last: _Step

    def advantages(self, rewards: Tensor, batch: Batch, features: Tensor) -> Tensor:
        """See Estimator."""
        own, mask = batch.own_samples, batch.mask
        own_values = torch.zeros(mask.shape)
        with torch.no_grad():
            own_values[own] = self.critic(features) * mask[own]
        (values,) = self._processes.sum(own_values)
        advantages, returns = gae(rewards, values, mask, gamma=self._gamma, lam=self._recipe.gae_lambda)
        ours = torch.zeros_like(mask)
        ours[own] = mask[own]
        self._last = _Step(features[mask[own]], ours[mask], values[mask], returns[mask])
        return centre(advantages, batch.mask, batch.prompts)

    def learn(self) -> dict[str, float]:
        """Fit the critic on the step's returns; reports how much of their variance it explained before."""
        step = self._last
        for _ in range(self._recipe.value_epochs):
            loss = value_loss(
                self.critic(step.features),
                step.values[step.own],
                step.returns[step.own],
                clip_range=self._recipe.value_clip_range,
                normaliser=len(step.values),
            )
            self._optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self._processes.sum_gradients(self.critic.parameters())
            torch.nn.utils.clip_grad_norm_(self.critic.parameters(), self._max_grad_norm)
            self._optimizer.step()
        return {"critic/explained_variance": explained_variance(step.values, step.returns)}

    def state(self) -> dict[str, Any]:
        """See Estimator."""
        return {"critic": self.critic.state_dict(), "optimizer": self._optimizer.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """See Estimator."""
        self.critic.load_state_dict(state["critic"])
        self._optimizer.load_state_dict(state["optimizer"])


def make(recipe: GaeRecipe, setting: Setting) -> GaeEstimator:
    """The estimator of a recipe."""
    return GaeEstimator(recipe, setting.hidden_size, setting.gamma, setting.max_grad_norm, setting.processes)
