"""What goes into scoring and what comes out."""

import time
from dataclasses import dataclass, field
from typing import NamedTuple

from rewards.scores import ScoredResponse, ScoreRequest
from rewards.traits.response_traits import ResponseTraits


class Trial(NamedTuple):
    """A canary's and its incumbent's versions, and which arm an answer belongs to: `canary` or `incumbent`."""

    canary: str
    incumbent: str
    arm: str


@dataclass(frozen=True)
class Finished:
    """A finished response to score."""

    id: str
    profile: str
    version: str
    request: ScoreRequest
    trial: Trial | None = None
    """None where no canary runs, and where the version was not drawn but asked for."""
    at: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class Judged:
    """A response's scores, and what it and its request are like."""

    scored: ScoredResponse
    traits: ResponseTraits
