"""What a request asks to be answered by: a profile, one version of it, or weights."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from policies.names import DEFAULT_PROFILE
from policies.weights import Weights
from rewards.categories import Category
from rewards.errors import FgctlError
from service.errors import Conflicting, Invalid

WEIGHTS_PREFIX = "weights:"
"""What a model name begins with that names weights."""


@dataclass(frozen=True)
class Selection:
    """A profile, perhaps at a version, or weights; the default profile when nothing is said."""

    profile: str | None = None
    version: str | None = None
    weights: Weights | None = None

    @classmethod
    def of(
        cls, profile: str | None, weights: str | Mapping[str, float] | None, categories: Iterable[Category]
    ) -> "Selection":
        """What the parameters `profile` and `weights` ask for; weights as `w1,w2,w3`, `name=w,…` or by name.

        Raises Conflicting for both, Invalid for weights that are none.
        """
        if profile is not None and weights is not None:
            raise Conflicting("Give either profile or weights, not both.", "weights")
        if weights is None:
            name, _, version = (DEFAULT_PROFILE if profile is None else profile).partition("@")
            return cls(name, version or None)
        return cls(weights=_parsed(weights, categories, "weights"))

    @classmethod
    def of_model(cls, model: str, categories: Iterable[Category]) -> "Selection":
        """What a model name asks for: `medium`, `medium@VERSION` or `weights:0.3,0.5,0.2`. Raises Invalid."""
        if model.startswith(WEIGHTS_PREFIX):
            return cls(weights=_parsed(model.removeprefix(WEIGHTS_PREFIX), categories, "model"))
        name, _, version = model.partition("@")
        return cls(name, version or None)


def _parsed(weights: str | Mapping[str, float], categories: Iterable[Category], param: str) -> Weights:
    text = weights if isinstance(weights, str) else ",".join(f"{name}={value}" for name, value in weights.items())
    try:
        return Weights.parse(text, categories)
    except FgctlError as error:
        raise Invalid(str(error), param) from None
