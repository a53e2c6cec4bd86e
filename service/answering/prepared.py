"""A request that is known to be answerable, and has a place in the queue or the engine."""

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from policies.prompt import Prompt
from policies.weights import Weights
from service.admission.places import Place, PlaceState
from service.admission.shared_limits import Taken
from service.domain.policy import ServedPolicy
from service.domain.request import Turn
from service.domain.scored import CanaryTrial
from service.telemetry.generations import Generation

if TYPE_CHECKING:
    from vllm import SamplingParams


@dataclass(frozen=True)
class Prepared:
    """It gives its place up when its stream ends, at the latest when the HTTP request that it belongs to does."""

    id: str
    policy: ServedPolicy
    weights: Weights
    """The weights asked for; those of the policy unless a mixture cannot reach them."""
    prompt: Prompt
    params: "SamplingParams"
    """Those of everything that is sampled, including what is not returned."""
    returned: int
    """Completions to return: the best of those sampled, or all."""
    question: str
    """Empty for prompts and conversations."""
    turns: tuple[Turn, ...] | None
    """The conversation to keep with the answer; None keeps none."""
    trial: CanaryTrial | None
    """None where no canary runs, and where the request named the version."""
    began: float
    """By the monotonic clock."""
    place: Place
    generation: Generation
    """What OpenTelemetry records of it."""
    taken: Taken | None
    """What the request has taken from the limits over all replicas; its prompts share it."""
    held: ExitStack
    """Keeps its policy loaded."""

    @property
    def has_turn(self) -> bool:
        """Whether it may use the engine now, so that nobody has to wait for that."""
        return self.place.state is PlaceState.RUNNING

    @property
    def chooses(self) -> bool:
        """Whether more completions are sampled than returned."""
        return self.returned < int(self.params.n)
