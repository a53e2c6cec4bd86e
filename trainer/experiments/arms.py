"""The arms of the experiments: ways of training that differ in one thing."""

from collections.abc import Sequence
from dataclasses import dataclass

from policies.weights import Weights
from rewards.errors import FgctlError


@dataclass(frozen=True)
class Arm:
    """One way of training."""

    name: str
    weights: Weights
    overrides: tuple[str, ...] = ()
    """Settings in which its recipe differs."""


def holistic(weights: Weights) -> tuple[Arm, ...]:
    """Fine-grained rewards, and one preference reward at the end (Wu et al. 2023, section 4.3)."""
    return (Arm("fine-grained", weights), Arm("holistic", weights, ("ppo.objective=holistic",)))


def ablations(weights: Weights) -> tuple[Arm, ...]:
    """All categories, and all but one, for each category (Wu et al. 2023, section 4.4)."""
    positive = {name: value for name, value in weights.as_dict().items() if value > 0}
    if len(positive) < 2:
        raise FgctlError("Removing a category leaves nothing; give weights with two or more categories above zero.")
    without = [
        Arm(f"without-{name.replace('_', '-')}", Weights({n: v for n, v in positive.items() if n != name}))
        for name in positive
    ]
    return (Arm("all", weights), *without)


def customisations(settings: Sequence[Weights]) -> tuple[Arm, ...]:
    """One arm for each setting of the weights (Wu et al. 2023, section 4.5)."""
    return tuple(Arm(f"weights-{i + 1}", weights) for i, weights in enumerate(settings))
