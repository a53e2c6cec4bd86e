"""A completion's scores."""

from dataclasses import dataclass
from typing import NamedTuple

from rewards.scores import ScoredResponse
from rewards.traits.response_traits import ResponseTraits


class CanaryTrial(NamedTuple):
    """A canary's and its incumbent's versions, and which arm a completion belongs to: `canary` or `incumbent`."""

    canary: str
    incumbent: str
    arm: str


@dataclass(frozen=True)
class ScoredCompletion:
    """A completion's scores by category, and its traits and those of its request."""

    scores: ScoredResponse
    traits: ResponseTraits
