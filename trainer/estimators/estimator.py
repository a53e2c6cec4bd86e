"""The interface of an advantage estimator, and which one a recipe names."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, cast

from torch import Tensor

from trainer.experience import Batch
from trainer.processes import Processes
from trainer.recipe import EstimatorRecipe


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


@dataclass(frozen=True)
class Setting:
    """What an estimator may need of the run, besides its own settings."""

    hidden_size: int
    """Width of the reference's hidden states."""
    gamma: float
    """The discount per token."""
    max_grad_norm: float
    processes: Processes


class _Module(Protocol):
    """What `trainer/estimators/TYPE.py` defines for the recipe's `estimator.type`."""

    def make(self, recipe: Any, setting: Setting) -> Estimator: ...


def make_estimator(recipe: EstimatorRecipe, setting: Setting) -> Estimator:
    """The estimator of a recipe: that of the module which its type names."""
    module = cast(_Module, import_module(f"trainer.estimators.{recipe.type}"))
    return module.make(recipe, setting)
