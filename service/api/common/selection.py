"""The policy that a request's parameters ask for."""

from collections.abc import Iterable, Mapping

from policies.names import DEFAULT_PROFILE
from policies.weights import Weights
from rewards.categories import Category
from rewards.errors import FgctlError
from service.domain.selection import Selection
from service.errors import BadRequest, InvalidRequest

WEIGHTS_PREFIX = "weights:"
"""The prefix of a model name that gives weights."""


def from_parameters(
    profile: str | None, weights: str | Mapping[str, float] | None, categories: Iterable[Category]
) -> Selection:
    """The selection by the parameters `profile` and `weights`; weights as `w1,w2,w3`, `name=w,…` or by name.

    Raises BadRequest for both, and InvalidRequest for invalid weights.
    """
    if profile is not None and weights is not None:
        raise BadRequest("Give either profile or weights, not both.", "weights")
    if weights is None:
        name, _, version = (DEFAULT_PROFILE if profile is None else profile).partition("@")
        return Selection(name, version or None)
    return Selection(weights=_parsed(weights, categories, "weights"))


def from_model(model: str, categories: Iterable[Category]) -> Selection:
    """The selection by a model name: `medium`, `medium@VERSION` or `weights:0.3,0.5,0.2`. Raises InvalidRequest."""
    if model.startswith(WEIGHTS_PREFIX):
        return Selection(weights=_parsed(model.removeprefix(WEIGHTS_PREFIX), categories, "model"))
    name, _, version = model.partition("@")
    return Selection(name, version or None)


def _parsed(weights: str | Mapping[str, float], categories: Iterable[Category], param: str) -> Weights:
    text = weights if isinstance(weights, str) else ",".join(f"{name}={value}" for name, value in weights.items())
    try:
        return Weights.parse(text, categories)
    except FgctlError as error:
        raise InvalidRequest(str(error), param) from None
